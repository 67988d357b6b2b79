"""Run one trial: every method learns from the same demonstrations and answers the same queries, batch by batch."""

from __future__ import annotations

import platform
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icl_claims import __version__
from icl_claims.errors import DivergenceError, UsageError
from icl_claims.experiments.batches import for_each_batch, out_of_memory
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.methods import Answer, InContext, Learned, ZeroShot
from icl_claims.metrics.similarity import sim_am, sim_am_update, sim_aou, sim_aou_random, uniform_updates
from icl_claims.models.language_model import LanguageModel
from icl_claims.tasks.examples import TaskData
from icl_claims.tasks.prompts import Prompts, Queries, build_prompts

Progress = Callable[[str, float], None]
"""Told what is being done, and how much of the trial is done, from 0 to 1."""


def run_trial(
    spec: TrialSpec, model: LanguageModel, data: TaskData, progress: Progress = lambda _what, _done: None
) -> TrialResult:
    """Run a trial.

    Args:
        spec: what to run.
        model: of the digest that the specification names.
        data: of the digest that the specification names.
        progress: told how far it is.

    Returns:
        Numbers by query and layer. A method that diverged is named in `failures` and has no numbers.

    Raises:
        UsageError: model or data are not those of the specification.
        ModelError: the model answers with something that is not a number.
        PromptError: the task cannot be put to this model.
    """
    if (model.digest, data.digest) != (spec.model, spec.data):
        raise UsageError("The model or the data are not those of the trial's specification")
    prompts = prompts_of(spec, model, data)
    recorder = _Recorder(spec, model, prompts)
    learned = _learn(spec, model, prompts, recorder, progress)
    _answer(learned, prompts, recorder, progress)
    return recorder.result(data)


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
        fillers=spec.fillers,
    )


def _learn(
    spec: TrialSpec, model: LanguageModel, prompts: Prompts, recorder: _Recorder, progress: Progress
) -> dict[str, Learned]:
    learned: dict[str, Learned] = {}
    methods = (ZeroShot(), InContext(), *spec.methods)
    for number, method in enumerate(methods):
        progress(f"learning: {method.name}", 0.4 * number / len(methods))
        with recorder.timed(f"learn {method.name}"):
            try:
                learned[method.name] = method.learn(model, prompts.demonstrations)
            except DivergenceError as error:
                recorder.fail(method.name, str(error))
            except torch.OutOfMemoryError as error:
                raise out_of_memory(f"what {method.name} learns") from error
    return learned


def _answer(learned: Mapping[str, Learned], prompts: Prompts, recorder: _Recorder, progress: Progress) -> None:
    recorder.begin_answers({name: method for name, method in learned.items() if name not in recorder.failures})
    done = 0

    def answer_without_content(batch: list[int]) -> None:
        recorder.add_without_content(batch, _answers(learned, prompts.content_free.some(batch), recorder))

    def answer(batch: list[int]) -> None:
        nonlocal done
        progress("answering", 0.4 + 0.6 * done / len(prompts.queries))
        answers = _answers(learned, prompts.queries.some(batch), recorder)
        with recorder.timed("metrics"):
            recorder.add(batch, answers)
        done += len(batch)

    for_each_batch(prompts.content_free, answer_without_content, recorder.notes.append)
    for_each_batch(prompts.queries, answer, recorder.notes.append)
    progress("answered", 1.0)


def _answers(learned: Mapping[str, Learned], queries: Queries, recorder: _Recorder) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    for name, method in learned.items():
        if name in recorder.failures:
            continue
        with recorder.timed(f"answer {name}"):
            try:
                answers[name] = method.answer(queries)
            except DivergenceError as error:
                recorder.fail(name, str(error))
    return answers


class _Recorder:
    """Turns the answers of a batch into numbers, and forgets the activations."""

    def __init__(self, spec: TrialSpec, model: LanguageModel, prompts: Prompts) -> None:
        self.spec, self.model, self.prompts = spec, model, prompts
        queries, layers = len(prompts.queries), model.layers
        self.log_probabilities: dict[str, Any] = defaultdict(
            lambda: np.full((queries, len(prompts.queries.label_ids)), np.nan, dtype=np.float64)
        )
        self.by_layer: dict[str, Any] = defaultdict(lambda: np.full((queries, layers), np.nan, dtype=np.float32))
        self.content_free: dict[str, Any] = {}
        self.losses: dict[str, list[float]] = {}
        self.failures: dict[str, str] = {}
        self.seconds: dict[str, float] = defaultdict(float)
        self.notes: list[str] = []

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - start

    def fail(self, method: str, why: str) -> None:
        """Name a method as failed, and drop what it had answered so far."""
        self.failures[method] = why
        for numbers in (self.log_probabilities, self.content_free, self.losses):
            numbers.pop(method, None)
        for entry in [entry for entry in self.by_layer if entry.endswith(f"/{method}")]:
            del self.by_layer[entry]

    def begin_answers(self, learned: Mapping[str, Learned]) -> None:
        shape = len(self.prompts.content_free), len(self.prompts.queries.label_ids)
        for name, method in learned.items():
            self.losses[name] = list(method.losses)
            self.content_free[name] = np.full(shape, np.nan)

    def add_without_content(self, batch: list[int], answers: Mapping[str, Answer]) -> None:
        for name, answer in answers.items():
            self.content_free[name][batch] = _numbers(answer.log_probabilities)

    def add(self, batch: list[int], answers: Mapping[str, Answer]) -> None:
        zero_shot, in_context = answers["zero_shot"], answers["in_context"]
        for name, answer in answers.items():
            self.log_probabilities[name][batch] = _numbers(answer.log_probabilities)
            maps = (in_context.scores, answer.scores, zero_shot.scores)
            if maps[0] is not None and maps[1] is not None and maps[2] is not None and name != "in_context":
                self._put(batch, "sim_am", name, sim_am(maps[0], maps[1]))
                if name != "zero_shot":
                    self._put(batch, "sim_am_update", name, sim_am_update(maps[0], maps[1], maps[2]))
            if name not in ("zero_shot", "in_context"):
                outputs = (in_context.attention_outputs, answer.attention_outputs, zero_shot.attention_outputs)
                self._put(batch, "sim_aou", name, sim_aou(*outputs))
        layers, _, hidden = in_context.attention_outputs.shape
        drawn = uniform_updates(layers, hidden, batch, self.spec.seed, in_context.attention_outputs.device)
        similarity = sim_aou_random(
            in_context.attention_outputs, zero_shot.attention_outputs, drawn, baseline=self.spec.random_baseline
        )
        self._put(batch, "sim_aou", "random_update", similarity)

    def _put(self, batch: list[int], metric: str, method: str, values: Tensor) -> None:
        self.by_layer[f"{metric}/{method}"][batch] = _numbers(values)

    def result(self, data: TaskData) -> TrialResult:
        provenance = {
            "model": self.model.name,
            "data": data.source,
            "demonstrations_drawn": self.spec.k,
            "demonstrations_in_context": self.prompts.demonstrations.shown,
            "demonstration_rows": list(self.prompts.demonstration_rows),
            "context_tokens": len(self.prompts.demonstrations.context),
            "device": str(self.model.device),
            "threads": torch.get_num_threads(),
            "machine": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "torch": torch.__version__,
            "icl_claims": __version__,
            "notes": self.notes,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return TrialResult(
            spec=self.spec.record(),
            query_rows=np.array(self.prompts.query_rows),
            gold=np.array(self.prompts.gold),
            log_probabilities=dict(self.log_probabilities),
            content_free=self.content_free,
            by_layer=dict(self.by_layer),
            losses=self.losses,
            failures=self.failures,
            seconds=dict(self.seconds),
            provenance=provenance,
        )


def _numbers(values: Tensor) -> Any:
    return values.detach().cpu().double().numpy()
