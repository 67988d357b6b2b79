"""Run one trial: every method learns from the same demonstrations and answers the same queries, batch by batch."""

from __future__ import annotations

import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from icl_claims import __version__
from icl_claims.errors import DivergenceError, UsageError
from icl_claims.experiments.batches import for_each_batch, out_of_memory, partners_in
from icl_claims.experiments.measure import Numbers, measure, numbers
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.methods import Answer, InContext, Learned, Method, ZeroShot
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.untrained import untrained
from icl_claims.tasks.examples import TaskData
from icl_claims.tasks.prompts import Prompts, Queries, build_prompts

Progress = Callable[[str, float], None]
"""Told what is being done, and how much of the trial is done, from 0 to 1."""
Watch = Callable[[list[int], Mapping[str, Answer]], None]
"""Shown the answers to a batch of queries, by method, before they are forgotten."""
SHARE_OF_LEARNING = 0.4  # of a trial's time, for the progress bar


def run_trial(
    spec: TrialSpec,
    model: LanguageModel,
    data: TaskData,
    progress: Progress = lambda _what, _done: None,
    watch: Watch | None = None,
) -> TrialResult:
    """Run a trial.

    Args:
        spec: what to run.
        model: of the digest that the specification names.
        data: of the digest that the specification names.
        progress: told how far it is.
        watch: shown all answers.

    Returns:
        Numbers by query and layer. A method that diverged is named in `failures` and has no numbers.

    Raises:
        UsageError: model or data are not those of the specification.
        ModelError: the model answers with something that is not a number.
        PromptError: the task cannot be put to this model.
    """
    if (model.digest, data.digest) != (spec.model, spec.data):
        raise UsageError("The model or the data are not those of the trial's specification")
    if spec.weights != "trained":
        model = untrained(model, spec.weights, spec.seed)
    running = _Trial(spec, model, prompts_of(spec, model, data), progress, watch)
    running.learn()
    running.answer()
    return running.result(data)


def prompts_of(spec: TrialSpec, model: LanguageModel, data: TaskData) -> Prompts:
    """What the trial of a specification says to the model.

    Raises:
        PromptError: the task cannot be put to this model.
    """
    return build_prompts(
        data,
        model.tokens,
        k=spec.k,
        seed=spec.seed,
        permutation=spec.permutation,
        queries=spec.queries,
        context_length=model.context_length,
        probe=spec.probe,
        truncation=spec.truncation,
        order=spec.order,
        fillers=spec.fillers,
    )


@dataclass(eq=False)
class _Trial:
    """A trial under way: what was learned, and the numbers so far."""

    spec: TrialSpec
    model: LanguageModel
    prompts: Prompts
    progress: Progress
    watch: Watch | None
    learned: dict[str, Learned] = field(default_factory=dict)
    blocks: list[tuple[list[int], Numbers]] = field(default_factory=list)
    content_free: list[tuple[list[int], dict[str, Any]]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    notes: list[str] = field(default_factory=list)

    @property
    def methods(self) -> tuple[Method, ...]:
        return (ZeroShot(), InContext(), *self.spec.methods)

    def learn(self) -> None:
        for number, method in enumerate(self.methods):
            self.progress(f"learning: {method.name}", SHARE_OF_LEARNING * number / len(self.methods))
            with self._timed(f"learn {method.name}"):
                try:
                    standard = self.learned.get("finetuning")
                    self.learned[method.name] = method.learn(self.model, self.prompts.demonstrations, standard)
                except DivergenceError as error:
                    self._fail(method.name, str(error))
                except torch.OutOfMemoryError as error:
                    raise out_of_memory(f"what {method.name} learns") from error

    def answer(self) -> None:
        done = 0
        gold = np.array(self.prompts.gold)

        def answer_without_content(batch: list[int]) -> None:
            answers = self._answers(self.prompts.content_free.some(batch), lens=False)
            self.content_free.append((batch, {name: numbers(a.log_probabilities) for name, a in answers.items()}))

        def answer_queries(batch: list[int]) -> None:
            nonlocal done
            share = SHARE_OF_LEARNING + (1 - SHARE_OF_LEARNING) * done / len(self.prompts.queries)
            self.progress("answering", share)
            answers = self._answers(self.prompts.queries.some(batch), lens=True)
            with self._timed("metrics"):
                self.blocks.append((batch, measure(self.spec, answers, gold[batch], batch, partners_in(batch))))
            if self.watch is not None:
                self.watch(batch, answers)
            done += len(batch)

        for_each_batch(self.prompts.content_free, answer_without_content, self.notes.append)
        for_each_batch(self.prompts.queries, answer_queries, self.notes.append)
        self.progress("answered", 1.0)

    def _answers(self, queries: Queries, *, lens: bool) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}
        for name, method in self.learned.items():
            if name in self.failures:
                continue
            with self._timed(f"answer {name}"):
                try:
                    answers[name] = method.answer(queries, lens=lens)
                except DivergenceError as error:
                    self._fail(name, str(error))
        return answers

    def _fail(self, method: str, why: str) -> None:
        self.failures[method] = why

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - start

    def result(self, data: TaskData) -> TrialResult:
        prompts, learned = self.prompts, self.learned
        answered = {name: method for name, method in learned.items() if name not in self.failures}
        rows = len(prompts.queries)
        return TrialResult(
            spec=self.spec.record(),
            query_rows=np.array(prompts.query_rows),
            gold=np.array(prompts.gold),
            log_probabilities=self._assembled("log_probabilities", rows),
            content_free=_put_together(self.content_free, len(prompts.content_free), set(answered)),
            by_layer=self._assembled("by_layer", rows),
            gradient_norms={n: m.gradient_norms for n, m in answered.items() if m.gradient_norms is not None},
            drift={name: method.drift() for name, method in answered.items() if method.weights},
            losses={name: list(method.losses) for name, method in answered.items() if method.losses},
            failures=self.failures,
            seconds=dict(self.seconds),
            provenance=self._provenance(data),
        )

    def _assembled(self, kind: str, rows: int) -> dict[str, Any]:
        blocks = [(batch, block[kind]) for batch, block in self.blocks]
        kept = {entry for _, block in blocks for entry in block if not self._rests_on_failure(entry)}
        return _put_together(blocks, rows, kept)

    def _rests_on_failure(self, entry: str) -> bool:
        names = entry.rpartition("/")[2].split("|")
        return any(name == failed or name.endswith(f"_of_{failed}") for name in names for failed in self.failures)

    def _provenance(self, data: TaskData) -> dict[str, Any]:
        shown = self.prompts.demonstrations
        return {
            "model": self.model.name,
            "data": data.source,
            "demonstrations_drawn": self.spec.k,
            "demonstrations_in_context": shown.shown,
            "demonstrations_learned": len(shown.sequences),
            "demonstration_rows": list(self.prompts.demonstration_rows),
            "context_tokens": len(shown.context),
            "device": str(self.model.device),
            "threads": torch.get_num_threads(),
            "machine": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "torch": torch.__version__,
            "icl_claims": __version__,
            "notes": self.notes,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def _put_together(blocks: list[tuple[list[int], dict[str, Any]]], rows: int, entries: set[str]) -> dict[str, Any]:
    """Arrays of all rows from those of batches; NaN where no batch says anything."""
    whole: dict[str, Any] = {}
    for batch, block in blocks:
        for entry in (name for name in block if name in entries):
            if entry not in whole:
                whole[entry] = np.full((rows, *block[entry].shape[1:]), np.nan, dtype=block[entry].dtype)
            whole[entry][batch] = block[entry]
    return whole
