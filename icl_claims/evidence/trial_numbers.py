"""What the trials of a task say to a question: the interval of a difference, where there was learning at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from icl_claims.claims import EVERY_TASK
from icl_claims.evidence.asking import Numbers, over_tasks, quantities_in
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.studies import IN_CONTEXT, OWN
from icl_claims.metrics import PredictionMetric, accuracy
from icl_claims.questions import Quantity, Side
from icl_claims.statistics.hierarchical import hierarchical_difference
from icl_claims.statistics.influence import Column, queries_that_count
from icl_claims.statistics.intervals import Interval, seeds_interval
from icl_claims.statistics.power import queries_needed, seeds_needed, smallest_detectable
from icl_claims.statistics.prediction import prediction_interval
from icl_claims.statistics.proportions import difference_interval, tango

BOOTSTRAP_SEED = 0
SIGNIFICANCE = 0.05  # one-sided, of the question whether in-context learning beats the most frequent label
ResultsOf = Callable[[str, str], Sequence[TrialResult]]


@dataclass(frozen=True, eq=False)
class AskedOfTrials:
    """One question about one task, and what the trials hold about it.

    Args:
        results_of: Gives the trials of a study on a task.
        task: The task that the question is about.
        left: The quantity in question.
        right: What it is held against.
        study: The name of the study that measures each quantity.
    """

    results_of: ResultsOf
    task: str
    left: Quantity
    right: Side
    study: Mapping[Quantity, str]

    @property
    def absence(self) -> str:
        """Why there is nothing to compare; empty if there is."""
        for quantity in quantities_in(self.left, self.right):
            study = self.study[quantity]
            results = self.results_of(study, self.task)
            if not results:
                return "this task was not run" if study in ("main", OWN) else f"the study {study} was not run"
            for result in results:
                if quantity.method.name in result.failures:
                    return result.failures[quantity.method.name]
                if result.column(quantity) is None:
                    return f"{quantity} was not measured"
        return ""

    @property
    def no_learning(self) -> str:
        """Why predictions say nothing here: in-context learning does not beat chance. Empty if they do."""
        if not any(isinstance(one.metric, PredictionMetric) for one in quantities_in(self.left, self.right)):
            return ""
        own = self.study[self.left]
        results = self.results_of(own if own == OWN else "main", self.task) or self.results_of(own, self.task)
        in_context = accuracy(IN_CONTEXT)
        right = [column for result in results if (column := result.column(in_context)) is not None]
        most_frequent = np.bincount(np.concatenate([result.gold for result in results])).argmax()
        guessed = [(result.gold == most_frequent).astype(float) for result in results]
        if tango(right, guessed, 1 - 2 * SIGNIFICANCE).low > 0:
            return ""
        reached, chance = _average(right), _average(guessed)
        return f"in-context learning does not beat chance (accuracy {reached:.2f}, most frequent {chance:.2f})"

    @property
    def counts(self) -> bool:
        """Whether the task says anything about the question."""
        return not self.absence and not self.no_learning

    @property
    def columns(self) -> tuple[list[Column], list[Column]]:
        """One column per trial for each side."""
        mine = self._columns(self.left)
        if isinstance(self.right, Quantity):
            return mine, self._columns(self.right)
        return mine, [np.where(np.isnan(column), np.nan, float(self.right)) for column in mine]

    def _columns(self, quantity: Quantity) -> list[Column]:
        results = self.results_of(self.study[quantity], self.task)
        return [column for result in results if (column := result.column(quantity)) is not None]


def numbers_of_task(asked: AskedOfTrials, confidence: float) -> Numbers:
    """What the trials of one task say.

    Args:
        asked: The question.
        confidence: Confidence of the interval.
    """
    if asked.absence:
        return Numbers(asked.task, absent=asked.absence)
    mine, other = asked.columns
    interval = _interval(mine, other if isinstance(asked.right, Quantity) else float(asked.right), confidence)
    counted, of_queries = _queries(mine), max(map(len, mine)) > 1
    unknown = "no spread" if of_queries else "one draw, and one number per draw"
    predicted = prediction_interval(mine, len(mine[0]), same_queries=True)
    no_learning = asked.no_learning
    return Numbers(
        asked.task,
        _average(mine),
        _average(other),
        interval,
        count=counted,
        note=no_learning,
        unclear="the interval does not decide"
        if np.isfinite(interval.low)
        else unknown
        if counted
        else "no query counts",
        undecided=bool(no_learning),
        needed=(queries_needed if of_queries else seeds_needed)(interval, counted),
        detectable=smallest_detectable(interval, confidence=confidence),
        predicted=(predicted.low, predicted.high),
    )


def numbers_together(asked: Sequence[AskedOfTrials], confidence: float) -> Numbers:
    """The mean over the tasks that count, each as heavy as another; undecided where others could turn it."""
    counting = [of_task for of_task in asked if of_task.counts]
    if not counting:
        return Numbers(EVERY_TASK, note="no task counts", undecided=True)
    columns = [of_task.columns for of_task in counting]
    left, right = [mine for mine, _ in columns], [other for _, other in columns]
    return Numbers(
        EVERY_TASK,
        float(np.mean([_average(mine) for mine in left])),
        float(np.mean([_average(other) for other in right])),
        hierarchical_difference(left, right, seed=BOOTSTRAP_SEED, confidence=confidence),
        count=sum(map(_queries, left)),
        note=over_tasks(len(counting), len(asked)),
        undecided=len(counting) < len(asked),
    )


def _interval(mine: Sequence[Column], side: Sequence[Column] | float, confidence: float) -> Interval:
    """Over queries or steps; where there is one value per trial, Student's over trials, and none for a single trial."""
    if max(len(column) for column in mine) > 1:
        return difference_interval(mine, side, seed=BOOTSTRAP_SEED, confidence=confidence)
    others = [side] * len(mine) if isinstance(side, float) else [_average([column]) for column in side]
    values = [_average([column]) - other for column, other in zip(mine, others, strict=True)]
    return seeds_interval(values, confidence)


def _queries(columns: Sequence[Column]) -> int:
    return int(sum(queries_that_count(column).sum() for column in columns))


def _average(columns: Sequence[Column]) -> float:
    counted = np.concatenate(list(columns))
    counted = counted[~np.isnan(counted)]
    return float(counted.mean()) if len(counted) else np.nan
