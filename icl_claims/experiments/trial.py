"""Run one trial: every method learns from the same demonstrations and answers the same queries, batch by batch."""

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from icl_claims import errors, methods, metrics, models, tasks
from icl_claims.experiments import batches, studies
from icl_claims.experiments.progress import LearnedSpill, TrialProgress
from icl_claims.experiments.result import BatchNumbers, Entry, TrialResult
from icl_claims.experiments.spec import TrialSpec, where_run
from icl_claims.storage.checksummed import Checkpoint
from icl_claims.version import __version__

Progress = Callable[[str, float], None]
"""Told what is being done, and how much of it is done, from 0 to 1."""
Watch = Callable[[list[int], Mapping[str, metrics.Answer]], None]
"""Shown the answers to a batch of queries, by method, before they are forgotten."""
SHARE_OF_LEARNING = 0.4  # of a trial's time, for the progress bar


@dataclass(eq=False)
class _Trial:
    """A trial under way: what was learned, how it meets the demonstrations, and the numbers so far."""

    spec: TrialSpec
    model: models.LanguageModel
    prompts: tasks.Prompts
    state: TrialProgress
    progress: Progress
    watch: Watch | None
    training: dict[str, methods.TrainingTokens] = field(default_factory=dict)

    @property
    def answering(self) -> list[methods.Method]:
        """The methods that have not failed."""
        return [method for method in self.spec.answering if method.name not in self.state.failures]

    def learn(self) -> None:
        for method in self.answering:
            number = self.spec.answering.index(method)
            self.progress(f"learning: {method.title}", SHARE_OF_LEARNING * number / len(self.spec.answering))
            try:
                self._learn(method)
            except errors.DivergenceError as error:
                self.state.failures[method.name] = str(error)
            except torch.OutOfMemoryError as error:
                raise batches.out_of_memory(f"what {method.name} learns") from error

    def _learn(self, method: methods.Method) -> None:
        if method not in self.state.learned:
            with self._timed(f"learn {method.name}"):
                learned = method.learn(self.model, self.prompts.demonstrations, self.state.learned)
            self.state.keep_learned(method, learned)
        if self.spec.diagnoses(method):
            with self._timed(f"read demonstrations as {method.name}"):
                learned = self.state.learned[method]
                self.training[method.name] = learned.training_tokens(self.prompts.demonstrations)

    def answer(self) -> None:
        queries, fillers = self.prompts.queries, self.prompts.content_free
        self.state.answer("content_free", fillers, lambda batch: batches.said(self._answers(fillers.some(batch))))
        self.state.answer("queries", queries, self._measured)
        self.progress("answered", 1.0)

    def _measured(self, batch: list[int]) -> BatchNumbers:
        done, queries = sum(len(block) for block, _ in self.state.blocks["queries"]), len(self.prompts.queries)
        words = f"{len(self.answering)} methods answer, query {done + 1} of {queries}"
        self.progress(words, SHARE_OF_LEARNING + (1 - SHARE_OF_LEARNING) * done / queries)
        answers = self._answers(self.prompts.queries.some(batch), inside=True)
        with self._timed("metrics"):
            gold = np.array(self.prompts.gold)[batch]
            lengths = [len(span) for span in self.prompts.demonstrations.spans]
            of_batch = methods.Batch(
                answers, answers[studies.ZERO_SHOT.name], batch, batches.partners_in(batch), self.spec.seed
            )
            found = batches.measure(self.spec, of_batch, gold, lengths)
        if self.watch is not None:
            self.watch(batch, answers)
        return found

    def _answers(self, queries: tasks.Queries, *, inside: bool = False) -> dict[str, metrics.Answer]:
        answers: dict[str, metrics.Answer] = {}
        for method in self.answering:
            name, looked_into = method.name, inside and self.spec.diagnoses(method)
            with self._timed(f"answer {name}"):
                try:
                    training = self.training.get(name) if looked_into else None
                    answers[name] = self.state.learned[method].answer(queries, lens=looked_into, training=training)
                except errors.DivergenceError as error:
                    self.state.failures[name] = str(error)
        return answers

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.state.seconds[what] += time.perf_counter() - start

    def result(self, data: tasks.TaskData) -> TrialResult:
        answered, features = self._assembled("queries", "log_probabilities"), self._assembled("queries", "features")
        without_content = self._assembled("content_free", "log_probabilities")
        over_all = {metric.name: metric for metric in self.spec.layer_metrics if isinstance(metric, metrics.SetMetric)}
        result = TrialResult(
            spec=self.spec,
            query_rows=np.array(self.prompts.query_rows),
            gold=np.array(self.prompts.gold),
            log_probabilities=answered,
            content_free={name: without_content.get(name, values[:0]) for name, values in answered.items()},
            by_layer=self._assembled("queries", "by_layer"),
            over_queries={entry: over_all[entry.metric].over(values) for entry, values in features.items()},
            failures=self.state.failures,
            seconds=dict(self.state.seconds),
            provenance=self._provenance(data),
        )
        for method in self.answering:
            learned = self.state.learned[method]
            if learned.gradient_norms is not None:
                result.gradient_norms[method.name] = learned.gradient_norms
            if learned.weights:
                result.drift[method.name] = learned.drift()
            if learned.losses:
                result.losses[method.name] = list(learned.losses)
        return result

    def _assembled(self, asked: str, group: str) -> dict[Any, Any]:
        """Arrays of all queries from those of batches; NaN where none says anything, and nothing of a failed method."""
        rows, whole = len(getattr(self.prompts, asked)), dict[Any, Any]()
        failed = set(self.state.failures)
        failed |= {null.name for null in self.spec.nulls if null.of.name in failed}
        for batch, block in self.state.blocks[asked]:
            for entry, values in block[group].items():
                if failed.isdisjoint(entry[1:] if isinstance(entry, Entry) else (entry,)):
                    if entry not in whole:
                        whole[entry] = np.full((rows, *values.shape[1:]), np.nan, dtype=values.dtype)
                    whole[entry][batch] = values
        return whole

    def _provenance(self, data: tasks.TaskData) -> dict[str, Any]:
        shown = self.prompts.demonstrations
        return {
            "model": self.model.name,
            "data": data.source,
            "demonstrations_drawn": self.spec.k,
            "demonstrations_in_context": shown.shown,
            "demonstrations_learned": len(shown.sequences),
            "demonstration_rows": list(self.prompts.demonstration_rows),
            "context_tokens": len(shown.context),
            **_where(self.model),
            "tokens_per_batch": self.state.tokens,
            "machine": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "icl_claims": __version__,
            "notes": self.state.notes,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def run_trial(
    spec: TrialSpec,
    model: models.LanguageModel,
    data: tasks.TaskData,
    progress: Progress = lambda _what, _done: None,
    watch: Watch | None = None,
    *,
    checkpoint: Checkpoint | None = None,
    tokens_per_batch: int | None = None,
    learned_in_memory: int | None = None,
) -> TrialResult:
    """Run a trial.

    >>> from icl_claims import Finetuning, TrialSpec, load_model, synthetic_task
    >>> model, task = load_model("tiny"), synthetic_task("sst2")
    >>> run_trial(TrialSpec.of(model, task, [Finetuning(1.5)], k=4, queries=8), model, task).methods
    ('zero_shot', 'in_context', 'finetuning')

    Args:
        spec: what to run.
        model: of the digest that the specification names.
        data: of the digest that the specification names.
        progress: told how far it is.
        watch: shown all answers, except to queries that an interrupted run finished.
        checkpoint: where finished parts are written, and read again after an interrupted run.
        tokens_per_batch: limit of the queries that are answered at once; an interrupted trial goes on with its own.
            By default as many as fit the free memory. Numbers depend on it by no more than rounding.
        learned_in_memory: bytes of learned weights beyond which they are spilled to files; by default as
            `room_for_learned` has it. No number depends on it.

    Returns:
        Numbers by query and layer. A method that diverged is named in `failures` and has no numbers.

    Raises:
        UsageError: model or data, dtype or kind of device are not those of the specification.
        ModelError: the model answers with something that is not a number.
        PromptError: the task cannot be put to this model.
        StoreError: somebody cut or removed a file of spilled weights.
    """
    found = {"model": model.digest, "data": data.digest, **where_run(model)}
    if wrong := [name for name, value in found.items() if getattr(spec, name) != value]:
        problem = f"The {' and '.join(wrong)} are not those of the trial's specification"
        wanted, got = (", ".join(str(of[name])[:12] for name in wrong) for of in (vars(spec), found))
        raise errors.UsageError(
            problem, expected=wanted, got=got, todo="Make it anew for this model: TrialSpec.of(...)."
        )
    if spec.weights != "trained":
        model = models.untrained(model, spec.weights, spec.seed)
    prompts = prompts_of(spec, model, data)
    tokens = tokens_per_batch or batches.tokens_that_fit(model, prompts, len(spec.methods))
    in_memory = batches.room_for_learned(model.device) if learned_in_memory is None else learned_in_memory
    learned = LearnedSpill(model, in_memory, None if checkpoint is None else checkpoint.folder)
    state = TrialProgress(tokens, learned, checkpoint)
    state.begin({"spec": spec.record(), "provenance": {"model": model.name}}, _where(model), spec.answering)
    running = _Trial(spec, model, prompts, state, progress, watch)
    running.learn()
    running.answer()
    return running.result(data)


def prompts_of(spec: TrialSpec, model: models.LanguageModel, data: tasks.TaskData) -> tasks.Prompts:
    """What the trial of a specification says to the model.

    Raises:
        PromptError: the task cannot be put to this model.
    """
    return tasks.build_prompts(
        data,
        model.tokens,
        tasks.Draw(spec.k, spec.seed, spec.permutation, spec.queries),
        spec.protocol,
        context_length=model.context_length,
    )


def _where(model: models.LanguageModel) -> dict[str, Any]:
    """What rounding depends on."""
    return {"device": str(model.device), "threads": torch.get_num_threads(), "torch": str(torch.__version__)}
