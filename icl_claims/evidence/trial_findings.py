"""What the trials of a task say to a question: the interval of a difference, where there was learning at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from icl_claims.claims import EVERY_TASK, Finding, Outcome, Quantity
from icl_claims.evidence.comparison import Side, over_tasks
from icl_claims.experiments.result import PREDICTION_METRICS, TrialResult
from icl_claims.statistics.differences import difference_interval
from icl_claims.statistics.hierarchical import hierarchical_difference
from icl_claims.statistics.influence import Column, queries_that_count
from icl_claims.statistics.intervals import Interval, seeds_interval
from icl_claims.statistics.power import queries_needed, seeds_needed, smallest_detectable
from icl_claims.statistics.prediction import prediction_interval
from icl_claims.statistics.proportions import tango

BOOTSTRAP_SEED = 0
SIGNIFICANCE = 0.05  # one-sided, of the question whether in-context learning beats the most frequent label
Judge = Callable[[Interval, float], Outcome]
ResultsOf = Callable[[str, str], Sequence[TrialResult]]


@dataclass(frozen=True, eq=False)
class Asked:
    """One question about one task, and what the trials hold about it.

    Args:
        results_of: gives the trials of a study on a task.
        task: that the question is about.
        left: the quantity in question.
        side: what it is held against.
    """

    results_of: ResultsOf
    task: str
    left: Quantity
    side: Side

    @property
    def absence(self) -> str:
        """Why there is nothing to compare; empty where there is."""
        for quantity in quantities(self.left, self.side):
            results = self.results_of(quantity.study, self.task)
            if not results:
                return _not_run(quantity.study)
            for result in results:
                if quantity.method in result.failures:
                    return result.failures[quantity.method]
                if _column(result, quantity) is None:
                    return f"{quantity} was not measured"
        return ""

    @property
    def no_learning(self) -> str:
        """Why predictions say nothing here: in-context learning does not beat chance. Empty where they do."""
        if not any(quantity.metric in PREDICTION_METRICS for quantity in quantities(self.left, self.side)):
            return ""
        results = self.results_of("main", self.task) or self.results_of(self.left.study, self.task)
        right = [column for result in results if (column := result.column("accuracy", "in_context")) is not None]
        most_frequent = np.bincount(np.concatenate([result.gold for result in results])).argmax()
        guessed = [(result.gold == most_frequent).astype(float) for result in results]
        if tango(right, guessed, 1 - 2 * SIGNIFICANCE).low > 0:
            return ""
        accuracy, chance = _average(right), _average(guessed)
        return f"in-context learning does not beat chance (accuracy {accuracy:.2f}, most frequent {chance:.2f})"

    @property
    def counts(self) -> bool:
        """Whether the task says anything about the question."""
        return not self.absence and not self.no_learning

    @property
    def columns(self) -> tuple[list[Column], list[Column]]:
        """One column a trial for each side."""
        mine = self._columns(self.left)
        if isinstance(self.side, Quantity):
            return mine, self._columns(self.side)
        return mine, [np.where(np.isnan(column), np.nan, float(self.side)) for column in mine]

    def _columns(self, quantity: Quantity) -> list[Column]:
        results = self.results_of(quantity.study, self.task)
        return [column for result in results if (column := _column(result, quantity)) is not None]


def _not_run(study: str) -> str:
    return "this task was not run" if study == "main" else f"not run without --claims-studies {study}"


def _column(result: TrialResult, quantity: Quantity) -> Column | None:
    return result.column(quantity.metric, quantity.method, quantity.reference, quantity.layers)


def finding_of(asked: Asked, judged: Judge, confidence: float) -> Finding:
    """What one task says: absent, unclear, or as its interval of the difference is judged.

    Args:
        asked: of the trials of the task.
        judged: makes an outcome of an interval, and of the size of the other side.
        confidence: of the interval.
    """
    if asked.absence:
        return Finding(asked.task, "absent", note=asked.absence)
    mine, other = asked.columns
    interval = _interval(mine, other if isinstance(asked.side, Quantity) else float(asked.side), confidence)
    counted = _queries(mine)
    right = _average(other)
    outcome, note = judged(interval, right), ""
    needed = None
    if outcome == "unclear":
        defined, of_queries = np.isfinite(interval.low), max(map(len, mine)) > 1
        unknown = "no spread" if of_queries else "one draw, and one number a draw"
        note = "the interval does not decide" if defined else unknown if counted else "no query counts"
        needed = queries_needed(interval, counted) if of_queries else seeds_needed(interval, counted)
    if asked.no_learning:
        outcome, note, needed = "unclear", asked.no_learning, None
    predicted = prediction_interval(mine, len(mine[0]), same_queries=True)
    return Finding(
        asked.task,
        outcome,
        left=_number(_average(mine)),
        right=_number(right),
        difference=_number(interval.estimate),
        low=_number(interval.low),
        high=_number(interval.high),
        queries=counted,
        note=note,
        needed=needed,
        detectable=smallest_detectable(interval, confidence=confidence),
        predicted_low=_number(predicted.low),
        predicted_high=_number(predicted.high),
    )


def finding_together(asked: Sequence[Asked], judged: Judge, confidence: float) -> Finding:
    """The mean over the tasks that count, each as heavy as another; undecided where others could turn it."""
    counting = [of_task for of_task in asked if of_task.counts]
    if not counting:
        return Finding(EVERY_TASK, "unclear", note="no task counts")
    columns = [of_task.columns for of_task in counting]
    left, right = [mine for mine, _ in columns], [other for _, other in columns]
    interval = hierarchical_difference(left, right, seed=BOOTSTRAP_SEED, confidence=confidence)
    size = float(np.mean([_average(other) for other in right]))
    return Finding(
        EVERY_TASK,
        judged(interval, size) if len(counting) == len(asked) else "unclear",
        left=_number(float(np.mean([_average(mine) for mine in left]))),
        right=_number(size),
        difference=_number(interval.estimate),
        low=_number(interval.low),
        high=_number(interval.high),
        queries=sum(map(_queries, left)),
        note=over_tasks(len(counting), len(asked)),
    )


def _interval(mine: Sequence[Column], side: Sequence[Column] | float, confidence: float) -> Interval:
    """Over queries or steps; where there is one value a trial, Student's over trials, and none for a single trial."""
    if max(len(column) for column in mine) > 1:
        return difference_interval(mine, side, seed=BOOTSTRAP_SEED, confidence=confidence)
    others = [side] * len(mine) if isinstance(side, float) else [_average([column]) for column in side]
    values = [_average([column]) - other for column, other in zip(mine, others, strict=True)]
    return seeds_interval(values, confidence)


def quantities(*sides: Side) -> list[Quantity]:
    """Those sides of a question that are no numbers."""
    return [side for side in sides if isinstance(side, Quantity)]


def _queries(columns: Sequence[Column]) -> int:
    return int(sum(queries_that_count(column).sum() for column in columns))


def _average(columns: Sequence[Column]) -> float:
    counted = np.concatenate(list(columns))
    counted = counted[~np.isnan(counted)]
    return float(counted.mean()) if len(counted) else np.nan


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
