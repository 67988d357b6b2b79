"""Cases of answering: the ICL pass by itself, in growing sizes, and whole trials."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.arithmetic import operations
from benchmarks.machine import machine_rate
from benchmarks.outcome import Outcome, Rounds, Say, tolerance_of
from benchmarks.reference import FullPrompts, read
from benchmarks.setting import Setting, spread_by_length, tokens_per_batch
from benchmarks.timing import timed
from icl_claims.experiments.batches import in_batches
from icl_claims.methods import InContext, Learned
from icl_claims.tasks.prompts import Demonstrations, Queries

Baseline = Literal["plain", "authors"]
"""A full prompt per query, scored at the answer's position and kept in memory; or, as the authors' code does, scored at
every position for every label, and written as JSON Lines."""


@dataclass(frozen=True, eq=False)
class InContextPass:
    """All queries answered in context, by both sides.

    Args:
        setting: the model and its prompts.
        context: tokens of the demonstrations, at most.
        queries: number of queries that ours answers; the reference answers some of them.
        baseline: what the reference does with a prompt.
        reading: whether reading the context counts for ours; it counts for the reference always, with every query.
        name: name of the case.
    """

    setting: Setting
    context: int
    queries: int
    baseline: Baseline = "plain"
    reading: bool = False
    name: str = "ICL pass"

    def measure(self, say: Say) -> Outcome:
        """Take turns with the reference."""
        model, demonstrations = self.setting.model, self.setting.demonstrations(self.context)
        context, queries = demonstrations.context, self.setting.queries(self.queries)
        sampled = spread_by_length(queries, self.setting.effort.prompts)
        reference, rounds = FullPrompts(model, every_position=self.baseline == "authors"), Rounds()
        learned, work = InContext().learn(model, demonstrations), operations(model, queries.rows, len(context))
        answered(learned, queries.some(sampled))  # and with it all that is done only once, as in the next line
        self._prompted(reference, context[:1], queries.some(sampled[:1]))
        case = f"{self.name}, {len(queries)} queries after {len(context)} tokens"
        for number in range(self.setting.effort.rounds):
            say(f"{case}: round {number + 1}")
            theirs, spent = timed(lambda: self._prompted(reference, context, queries.some(sampled)))
            rounds.reference.append(spent / len(sampled))
            before = machine_rate(model, tokens_per_batch(model))
            answers, spent = timed(lambda: answered(self._read(learned, demonstrations), queries))
            rounds.ours.append(spent / len(queries))
            if not self.reading:
                rounds.count(work / spent, before, machine_rate(model, tokens_per_batch(model)))
        difference = float(np.abs(theirs - answers[sampled]).max())
        return rounds.outcome(case, "a query", difference, tolerance=tolerance_of(model.dtype))

    def _read(self, learned: Learned, demonstrations: Demonstrations) -> Learned:
        return InContext().learn(learned.model, demonstrations) if self.reading else learned

    def _prompted(self, reference: FullPrompts, context: Sequence[int], queries: Queries) -> np.ndarray:
        """Log-probabilities of the labels."""
        if self.baseline == "plain":
            return np.array([reference.see(context, row, queries).log_probabilities for row in queries.rows])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "in_context.jsonl"
            reference.answer(context, queries, file)
            return np.array([seen.log_probabilities for seen in read(file)])


def answered(learned: Learned, queries: Queries) -> np.ndarray:
    """Log-probabilities of the labels of all queries, batch by batch, activations and scores included and dropped."""
    answers = np.zeros((len(queries), len(queries.label_ids)))

    def answer(batch: list[int], _tokens: int) -> None:
        answers[batch] = learned.answer(queries.some(batch)).log_probabilities.double().cpu().numpy()

    in_batches(queries, answer, tokens_per_batch(learned.model))
    return answers


def in_context_passes(setting: Setting, say: Say) -> Iterator[Outcome]:
    """The ICL pass against plain full prompts, with reading its context, and against all of the authors' procedure."""
    effort = setting.effort
    yield InContextPass(setting, effort.context, effort.queries).measure(say)
    name = "ICL pass and reading its context"
    yield InContextPass(setting, effort.context, effort.queries, reading=True, name=name).measure(say)
    name = "ICL pass against scoring and files as the authors'"
    yield InContextPass(setting, effort.context, effort.queries, "authors", name=name).measure(say)


def other_contexts(setting: Setting, say: Say) -> Iterator[Outcome]:
    """The ICL pass after fewer and more demonstrations."""
    for context in setting.effort.contexts:
        yield InContextPass(setting, context, setting.effort.queries).measure(say)


def other_numbers(setting: Setting, say: Say) -> Iterator[Outcome]:
    """The ICL pass of fewer and more queries."""
    for number in setting.effort.numbers:
        yield InContextPass(setting, setting.effort.context, number).measure(say)


def other_depths(setting: Setting, say: Say) -> Iterator[Outcome]:
    """The ICL pass of models with a third and two thirds of the layers, and random weights."""
    effort, layers = setting.effort, setting.model.layers
    for fewer in sorted({max(layers // 3, 1), max(2 * layers // 3, 1)}):
        name = f"ICL pass, {fewer} of {layers} layers"
        yield InContextPass(setting.with_layers(fewer), effort.context, effort.queries, name=name).measure(say)
