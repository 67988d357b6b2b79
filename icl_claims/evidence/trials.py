"""Evidence of our own trials: differences over queries, with intervals, and a check that there was learning at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from icl_claims.claims import EVERY_TASK, Comparison, Finding, Outcome, Quantity
from icl_claims.evidence.comparison import (
    ALL_TASKS,
    Side,
    direction,
    equal_in_words,
    in_words,
    judge,
    judge_equal,
    over_tasks,
    unknown_quantity,
)
from icl_claims.experiments.plain import mean_over_rows
from icl_claims.experiments.result import LAYER_METRICS, METRICS, PREDICTION_METRICS, TrialResult
from icl_claims.statistics.columns import Column, by_query, queries_that_count
from icl_claims.statistics.differences import difference_interval
from icl_claims.statistics.equivalence import CONFIDENCE_FOR_EQUIVALENCE
from icl_claims.statistics.hierarchical import hierarchical_difference
from icl_claims.statistics.intervals import CONFIDENCE, Interval, seeds_interval
from icl_claims.statistics.power import queries_needed, seeds_needed, smallest_detectable
from icl_claims.statistics.prediction import prediction_interval
from icl_claims.statistics.proportions import tango

BOOTSTRAP_SEED = 0
SIGNIFICANCE = 0.05  # one-sided, of the question whether in-context learning beats the most frequent label
Results = Mapping[str, Sequence[TrialResult]]
"""Trials by task, one for each draw of demonstrations."""
Judge = Callable[[Interval, float], Outcome]


def _no_other_study(study: str) -> Results:
    return {}


@dataclass(frozen=True, eq=False)
class TrialsEvidence:
    """The trials of one model.

    Args:
        results: trials of the main study, by task.
        details: profile, model and data, for the report.
        study: gives the trials of another study, of the same draws; asked when a quantity names it.
        source: its name.
    """

    results: Results
    details: dict[str, Any] = field(default_factory=dict)
    study: Callable[[str], Results] = _no_other_study
    source: str = "trials"

    def compare(
        self,
        left: Quantity,
        *,
        above: Side | None = None,
        below: Side | None = None,
        tasks: Sequence[str] = ALL_TASKS,
        confidence: float = CONFIDENCE,
    ) -> Comparison:
        """Compare quantities over the queries of each task, by the interval of their difference.

        A claim about predictions is unclear on a task where in-context learning does not beat chance.

        Raises:
            ClaimError: there is no such metric.
        """
        side, upwards = direction(above, below)
        findings = self._findings(left, side, tasks, lambda interval, _size: judge(interval, upwards), confidence)
        return Comparison(in_words(left, side, upwards), findings, upwards, left, side)

    def equivalent(
        self, left: Quantity, to: Quantity, *, within: float, tasks: Sequence[str] = ALL_TASKS
    ) -> Comparison:
        """Two one-sided tests of the difference against a share of the other quantity, on each task.

        Raises:
            ClaimError: there is no such metric.
        """

        def judged(interval: Interval, size: float) -> Outcome:
            return judge_equal(interval, within * abs(size))

        findings = self._findings(left, to, tasks, judged, confidence=CONFIDENCE_FOR_EQUIVALENCE)
        without = tuple(replace(finding, needed=None) for finding in findings)  # what is needed is told for 0 alone
        return Comparison(equal_in_words(left, to, within), without, None, left, to)

    def provenance(self) -> dict[str, Any]:
        """What was run, task by task."""
        trials = [
            {"task": task, **{name: result.spec[name] for name in ("k", "seed", "permutation", "calibration", "probe")}}
            | {"queries": len(result.gold), **result.provenance}
            for task, results in self.results.items()
            for result in results
        ]
        return {**self.details, "trials": trials}

    def table(self) -> pd.DataFrame:
        """All numbers as one tidy table: source, model, task, seed, method, metric, layer, query, value.

        A row has either a query (the mean over layers) or a layer (the mean over queries). RPA has a second row for a
        query that two methods change to different labels.
        """
        frames = [
            _tidy(result, task, method, metric)
            for task, results in self.results.items()
            for result in results
            for metric in METRICS
            for method in result.measured
        ]
        return pd.concat([frame for frame in frames if frame is not None], ignore_index=True).assign(source=self.source)

    def results_of(self, study: str, task: str) -> Sequence[TrialResult]:
        """The trials of a task in a study; none where they were not run."""
        found = self.results if study == "main" else self.study(study)
        return found.get(task, ())

    def _findings(
        self, left: Quantity, side: Side, tasks: Sequence[str], judged: Judge, confidence: float
    ) -> tuple[Finding, ...]:
        for quantity in _quantities(left, side):
            if quantity.metric not in METRICS:
                raise unknown_quantity(quantity, self.source, METRICS)
        asked = [_Asked(self, task, left, side) for task in tasks]
        return (
            *(_finding(of_task, judged, confidence) for of_task in asked),
            _together(asked, judged, confidence),
        )


@dataclass(frozen=True, eq=False)
class _Asked:
    """What the trials of one task hold about one question."""

    evidence: TrialsEvidence
    task: str
    left: Quantity
    side: Side

    @property
    def absence(self) -> str:
        """Why there is nothing to compare; empty where there is."""
        for quantity in _quantities(self.left, self.side):
            results = self.evidence.results_of(quantity.study, self.task)
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
        if not any(quantity.metric in PREDICTION_METRICS for quantity in _quantities(self.left, self.side)):
            return ""
        results = self.evidence.results_of("main", self.task) or self.evidence.results_of(self.left.study, self.task)
        right = [column for result in results if (column := result.column("accuracy", "in_context")) is not None]
        most_frequent = np.bincount(np.concatenate([result.gold for result in results])).argmax()
        guessed = [(result.gold == most_frequent).astype(float) for result in results]
        if tango(right, guessed, 1 - 2 * SIGNIFICANCE).low > 0:
            return ""
        accuracy, chance = _average(right), _average(guessed)
        return f"in-context learning does not beat chance (accuracy {accuracy:.2f}, most frequent {chance:.2f})"

    @property
    def counts(self) -> bool:
        return not self.absence and not self.no_learning

    @property
    def columns(self) -> tuple[list[Column], list[Column]]:
        """One column a trial for each side."""
        mine = self._columns(self.left)
        if isinstance(self.side, Quantity):
            return mine, self._columns(self.side)
        return mine, [np.where(np.isnan(column), np.nan, float(self.side)) for column in mine]

    def _columns(self, quantity: Quantity) -> list[Column]:
        results = self.evidence.results_of(quantity.study, self.task)
        return [column for result in results if (column := _column(result, quantity)) is not None]


def _not_run(study: str) -> str:
    return "this task was not run" if study == "main" else f"not run without --claims-studies {study}"


def _column(result: TrialResult, quantity: Quantity) -> Column | None:
    return result.column(quantity.metric, quantity.method, quantity.reference, quantity.layers)


def _finding(asked: _Asked, judged: Judge, confidence: float) -> Finding:
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


def _together(asked: Sequence[_Asked], judged: Judge, confidence: float) -> Finding:
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


def _quantities(*sides: Side) -> list[Quantity]:
    return [side for side in sides if isinstance(side, Quantity)]


def _queries(columns: Sequence[Column]) -> int:
    return int(sum(queries_that_count(column).sum() for column in columns))


def _average(columns: Sequence[Column]) -> float:
    counted = np.concatenate(list(columns))
    counted = counted[~np.isnan(counted)]
    return float(counted.mean()) if len(counted) else np.nan


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _tidy(result: TrialResult, task: str, method: str, metric: str) -> pd.DataFrame | None:
    values = result.column(metric, method)
    if values is None:
        return None
    rows = []
    if metric in (*PREDICTION_METRICS, *LAYER_METRICS):
        of_queries = by_query(values)
        kept = ~np.isnan(of_queries)
        kept[:, 0] = True
        queries = result.query_rows[np.nonzero(kept)[0]]
        rows.append(pd.DataFrame({"layer": pd.NA, "query": queries, "value": of_queries[kept]}))
    by_layer = None if metric in PREDICTION_METRICS else result.values_by_layer(metric, method)
    if by_layer is not None:
        layers = mean_over_rows(by_layer)
        rows.append(pd.DataFrame({"layer": range(len(layers)), "query": pd.NA, "value": layers}))
    return pd.concat(rows, ignore_index=True).assign(
        model=result.provenance["model"], task=task, seed=result.spec["seed"], method=method, metric=metric
    )
