"""Evidence of our own trials: what claims can ask of them, and all their numbers as a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from icl_claims import claims, metrics
from icl_claims.errors import ClaimError
from icl_claims.evidence.asking import Numbers, TaskEvidence, over_tasks
from icl_claims.experiments.result import TrialResult, mean_over_rows
from icl_claims.experiments.studies import IN_CONTEXT, OWN, STUDIES, Study, measured_of, study_of
from icl_claims.questions import Quantity, Side, TwoSided
from icl_claims.statistics import intervals, proportions, resampling, significance

Results = Mapping[str, Sequence[TrialResult]]
"""Trials by task, one for each draw of demonstrations."""
MAIN = "main"
BOOTSTRAP_SEED = 0
SIGNIFICANCE = 0.05  # one-sided, of the question whether in-context learning beats the most frequent label


@dataclass(frozen=True, eq=False)
class TrialsEvidence(TaskEvidence):
    """The trials of one model.

    Args:
        results: The trials by the name of their study; a study that is not there was not run.
        details: Profile, model and data, for the report.
    """

    results: Mapping[str, Results]
    details: dict[str, Any] = field(default_factory=dict)
    studies: tuple[Study, ...] = tuple(STUDIES.values())
    source: str = "trials"

    def numbers(self, question: TwoSided, tasks: Sequence[str], confidence: float) -> Sequence[Numbers]:
        """Quantities over the queries of each task, by the interval of their difference.

        A question about predictions is undecided on a task where in-context learning does not beat chance.

        Raises:
            ClaimError: No study measures such a quantity.
        """
        study = {}
        for quantity in question.quantities:
            found = study_of(quantity, self.studies)
            if found is None:  # a slip: unlike a table, trials measure whatever they are asked for in a known name
                wanted = ", ".join(measured_of(quantity.metric, self.studies))
                raise ClaimError(f"The source {self.source} measures no {quantity.name}", expected=wanted)
            study[quantity] = found.name
        asked = [_AskedOfTask(self.results, task, *question.sides, study) for task in tasks]
        return [*(of_task.numbers(confidence) for of_task in asked), _numbers_together(asked, confidence)]

    def provenance(self) -> dict[str, Any]:
        """What was run, task by task."""
        ran = list(self.results)
        study = MAIN if MAIN in ran or not ran else ran[0]
        trials = [
            {
                "task": task,
                **{"k": result.spec.k, "seed": result.spec.seed, "permutation": result.spec.permutation},
                **{"calibration": result.spec.protocol.calibration, "probe": result.spec.protocol.probe},
                **{"queries": len(result.gold), **result.provenance},
            }
            for task, results in (self.results[study] if ran else {}).items()
            for result in results
        ]
        return {**self.details, "trials": trials}

    def table(self) -> pd.DataFrame:
        """All numbers as one tidy table: source, model, task, seed, method, metric, layer, query, value.

        A row has either a query (the mean over layers) or a layer (the mean over queries). RPA has a second row for a
        query that two methods change to different labels.
        """
        frames = [
            _tidy(result, task, Quantity(metric, method))
            for task, results in self.results.get(MAIN, {}).items()
            for result in results
            for metric in metrics.METRICS
            for method in result.measured
        ]
        return pd.concat([frame for frame in frames if frame is not None], ignore_index=True).assign(source=self.source)


@dataclass(frozen=True, eq=False)
class _AskedOfTask:
    """One question about one task, and what the trials hold about it; `study` names that of each quantity."""

    results: Mapping[str, Results]
    task: str
    left: Quantity
    right: Side
    study: Mapping[Quantity, str]

    @property
    def absence(self) -> str:
        """Why there is nothing to compare; empty if there is."""
        for quantity, study in self.study.items():
            results = self._of(study)
            if not results:
                return "this task was not run" if study in (MAIN, OWN) else f"the study {study} was not run"
            for result in results:
                if quantity.method.name in result.failures:
                    return result.failures[quantity.method.name]
                if result.column(quantity) is None:
                    return f"{quantity} was not measured"
        return ""

    @property
    def no_learning(self) -> str:
        """Why predictions say nothing here: in-context learning does not beat chance. Empty if they do."""
        if not any(isinstance(one.metric, metrics.PredictionMetric) for one in self.study):
            return ""
        own = self.study[self.left]
        results = self._of(own if own == OWN else MAIN) or self._of(own)
        right = _columns(results, metrics.accuracy(IN_CONTEXT))
        most_frequent = np.bincount(np.concatenate([result.gold for result in results])).argmax()
        guessed = [(result.gold == most_frequent).astype(float) for result in results]
        if proportions.tango(right, guessed, 1 - 2 * SIGNIFICANCE).low > 0:
            return ""
        reached, chance = _average(right), _average(guessed)
        return f"in-context learning does not beat chance (accuracy {reached:.2f}, most frequent {chance:.2f})"

    @property
    def unresolved(self) -> str:
        """What is left out since updates are too small for the dtype of the model; empty if nothing is."""
        left_out = []
        for quantity, study in self.study.items():
            if isinstance(quantity.metric, metrics.LayerMetric) and quantity.metric.of_updates:
                results = self._of(study)
                values = [found for one in results if (found := one.values_by_layer(quantity)) is not None]
                if lost := np.isnan(np.concatenate(values)).mean():
                    resolves = f"updates that {results[0].spec.dtype} does not resolve"
                    left_out.append(f"{quantity} leaves out {lost:.0%} of its values, of {resolves}")
        return "; ".join(left_out)

    @property
    def columns(self) -> tuple[list[resampling.Column], list[resampling.Column]]:
        """One column per trial for each side."""
        mine = _columns(self._of(self.study[self.left]), self.left)
        if isinstance(self.right, Quantity):
            return mine, _columns(self._of(self.study[self.right]), self.right)
        return mine, [np.where(np.isnan(column), np.nan, float(self.right)) for column in mine]

    def numbers(self, confidence: float) -> Numbers:
        """Both sides, and the interval of their difference."""
        if self.absence:
            return Numbers(self.task, absent=self.absence)
        mine, other = self.columns
        interval = _interval(mine, other if isinstance(self.right, Quantity) else float(self.right), confidence)
        counted, of_queries = _queries(mine), max(map(len, mine)) > 1
        unknown = self.unresolved or "no query counts"
        if counted:
            unknown = "no spread" if of_queries else "one draw, and one number per draw"
        predicted, no_learning = intervals.prediction_interval(mine), self.no_learning
        return Numbers(
            self.task,
            _average(mine),
            _average(other),
            interval,
            count=counted,
            note=no_learning or self.unresolved,
            unclear="the interval does not decide" if np.isfinite(interval.low) else unknown,
            undecided=bool(no_learning),
            needed=(significance.queries_needed if of_queries else significance.seeds_needed)(interval, counted),
            detectable=significance.smallest_detectable(interval, confidence=confidence),
            predicted=(predicted.low, predicted.high),
        )

    def _of(self, study: str) -> Sequence[TrialResult]:
        return self.results.get(study, {}).get(self.task, ())


def _numbers_together(asked: Sequence[_AskedOfTask], confidence: float) -> Numbers:
    """The mean over the tasks that count, each as heavy as another; undecided where others could turn it."""
    counting = [of_task for of_task in asked if not of_task.absence and not of_task.no_learning]
    if not counting:
        return Numbers(claims.EVERY_TASK, note="no task counts", undecided=True)
    columns = [of_task.columns for of_task in counting]
    left, right = [mine for mine, _ in columns], [other for _, other in columns]
    return Numbers(
        claims.EVERY_TASK,
        float(np.mean([_average(mine) for mine in left])),
        float(np.mean([_average(other) for other in right])),
        intervals.hierarchical_difference(left, right, seed=BOOTSTRAP_SEED, confidence=confidence),
        count=sum(map(_queries, left)),
        note=over_tasks(len(counting), len(asked)),
        undecided=len(counting) < len(asked),
    )


def _interval(
    mine: Sequence[resampling.Column], side: Sequence[resampling.Column] | float, confidence: float
) -> intervals.Interval:
    """Over queries; where there is one value per trial, Student's over trials, and none for a single trial."""
    if max(len(column) for column in mine) > 1:
        return proportions.difference_interval(mine, side, seed=BOOTSTRAP_SEED, confidence=confidence)
    others = [side] * len(mine) if isinstance(side, float) else [_average([column]) for column in side]
    values = [_average([column]) - other for column, other in zip(mine, others, strict=True)]
    return intervals.seeds_interval(values, confidence)


def _columns(results: Iterable[TrialResult], quantity: Quantity) -> list[resampling.Column]:
    return [column for result in results if (column := result.column(quantity)) is not None]


def _queries(columns: Sequence[resampling.Column]) -> int:
    return int(sum(resampling.queries_that_count(column).sum() for column in columns))


def _average(columns: Sequence[resampling.Column]) -> float:
    counted = np.concatenate(list(columns))
    counted = counted[~np.isnan(counted)]
    return float(counted.mean()) if len(counted) else np.nan


def _tidy(result: TrialResult, task: str, quantity: Quantity) -> pd.DataFrame | None:
    values, metric = result.column(quantity), quantity.metric
    if values is None:
        return None
    rows = []
    if not isinstance(metric, metrics.LearningMetric):
        of_queries = resampling.by_query(values)
        counted = ~np.isnan(of_queries)
        counted[:, 0] = True
        queries = result.query_rows[np.nonzero(counted)[0]]
        rows.append(pd.DataFrame({"layer": pd.NA, "query": queries, "value": of_queries[counted]}))
    by_layer = None if isinstance(metric, metrics.PredictionMetric) else result.values_by_layer(quantity)
    if by_layer is not None:
        layers = mean_over_rows(by_layer)
        rows.append(pd.DataFrame({"layer": range(len(layers)), "query": pd.NA, "value": layers}))
    return pd.concat(rows, ignore_index=True).assign(
        model=result.provenance["model"],
        task=task,
        seed=result.spec.seed,
        method=quantity.method.name,
        metric=metric.name,
    )
