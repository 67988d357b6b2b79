"""Evidence of our own trials: differences over queries, with intervals, and a check that there was learning at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from icl_claims.claims import EVERY_TASK, Finding, Quantity
from icl_claims.evidence.comparison import Side, direction, judge, unknown_quantity
from icl_claims.experiments.result import LAYER_METRICS, PREDICTION_METRICS, TrialResult
from icl_claims.statistics.columns import Column
from icl_claims.statistics.differences import difference_interval
from icl_claims.statistics.intervals import bootstrap_difference
from icl_claims.statistics.tests import beats_chance
from icl_claims.tasks.catalogue import TASKS

BOOTSTRAP_SEED = 0
SIGNIFICANCE = 0.05
METRICS = (*PREDICTION_METRICS, *LAYER_METRICS)


@dataclass(frozen=True, eq=False)
class TrialsEvidence:
    """The trials of one model.

    Args:
        results: trials by task, one for each draw of demonstrations.
        details: profile, model and data, for the report.
        source: its name.
    """

    results: Mapping[str, Sequence[TrialResult]]
    details: dict[str, Any] = field(default_factory=dict)
    source: str = "trials"

    def compare(
        self, left: Quantity, *, above: Side | None = None, below: Side | None = None, overall: bool = False
    ) -> tuple[Finding, ...]:
        """Compare quantities over the queries of each task, by the interval of their difference.

        A claim about predictions is unclear on a task where in-context learning does not beat chance.

        Raises:
            ClaimError: there is no such metric.
        """
        side, upwards = direction(above, below)
        for quantity in _quantities(left, side):
            if quantity.metric not in METRICS:
                raise unknown_quantity(quantity, self.source, METRICS)
        findings = [self._finding(task, left, side, upwards) for task in TASKS]
        if overall:
            findings.append(self._together(left, side, upwards))
        return tuple(findings)

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

        A row has either a query (the mean over layers) or a layer (the mean over queries).
        """
        frames = [
            _tidy(result, task, method, metric)
            for task, results in self.results.items()
            for result in results
            for metric in METRICS
            for method in (*result.methods, "random_update")
        ]
        return pd.concat([frame for frame in frames if frame is not None], ignore_index=True).assign(source=self.source)

    def _finding(self, task: str, left: Quantity, side: Side, upwards: bool) -> Finding:
        results, quantities = self.results.get(task, ()), _quantities(left, side)
        if why := _absence(results, quantities):
            return Finding(task, "absent", note=why)
        mine, other = _columns(results, left), _columns(results, side)
        against = other if isinstance(side, Quantity) else float(side)
        interval = difference_interval(mine, against, seed=BOOTSTRAP_SEED)
        counted = int(sum((~np.isnan(column)).sum() for column in mine))
        outcome, note = judge(interval, upwards), ""
        if outcome == "unclear":
            note = "the interval holds 0" if np.isfinite(interval.low) else "no query counts"
        if reason := _no_learning(results, quantities):
            outcome, note = "unclear", reason
        return Finding(
            task,
            outcome,
            left=_number(_average(mine)),
            right=_number(_average(other)),
            difference=_number(interval.estimate),
            low=_number(interval.low),
            high=_number(interval.high),
            queries=counted,
            note=note,
        )

    def _together(self, left: Quantity, side: Side, upwards: bool) -> Finding:
        quantities = _quantities(left, side)
        usable = {
            task: results
            for task, results in self.results.items()
            if not _absence(results, quantities) and not _no_learning(results, quantities)
        }
        mine = [column for results in usable.values() for column in _columns(results, left)]
        other = [column for results in usable.values() for column in _columns(results, side)]
        if not mine:
            return Finding(EVERY_TASK, "unclear", note="no task counts")
        interval = bootstrap_difference(mine, other, seed=BOOTSTRAP_SEED)
        return Finding(
            EVERY_TASK,
            judge(interval, upwards),
            left=_number(float(np.mean([_average([column]) for column in mine]))),
            right=_number(float(np.mean([_average([column]) for column in other]))),
            difference=_number(interval.estimate),
            low=_number(interval.low),
            high=_number(interval.high),
            queries=int(sum((~np.isnan(column)).sum() for column in mine)),
            note=f"over {len(usable)} tasks",
        )


def _quantities(*sides: Side) -> list[Quantity]:
    return [side for side in sides if isinstance(side, Quantity)]


def _absence(results: Sequence[TrialResult], quantities: Sequence[Quantity]) -> str:
    """Why a task has no evidence about these quantities. Empty where it has."""
    if not results:
        return "this task was not run"
    for quantity in quantities:
        for result in results:
            if quantity.method in result.failures:
                return result.failures[quantity.method]
            if result.per_query(quantity.metric, quantity.method) is None:
                return f"{quantity} was not measured"
    return ""


def _columns(results: Sequence[TrialResult], side: Side) -> list[Column]:
    if not isinstance(side, Quantity):
        return [np.full(len(result.gold), float(side)) for result in results]
    columns = (result.per_query(side.metric, side.method) for result in results)
    return [column for column in columns if column is not None]


def _no_learning(results: Sequence[TrialResult], quantities: Sequence[Quantity]) -> str:
    """Why predictions say nothing on this task: in-context learning does not beat chance. Empty where they do."""
    if not any(quantity.metric in PREDICTION_METRICS for quantity in quantities):
        return ""
    right = np.concatenate([result.per_query("accuracy", "in_context") for result in results])
    gold = np.concatenate([result.gold for result in results])
    chance = np.unique(gold, return_counts=True)[1].max() / len(gold)
    if beats_chance(int(right.sum()), len(right), chance) < SIGNIFICANCE:
        return ""
    return f"in-context learning does not beat chance (accuracy {right.mean():.2f}, most frequent label {chance:.2f})"


def _average(columns: Sequence[Column]) -> float:
    counted = np.concatenate(list(columns))
    counted = counted[~np.isnan(counted)]
    return float(counted.mean()) if len(counted) else np.nan


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _tidy(result: TrialResult, task: str, method: str, metric: str) -> pd.DataFrame | None:
    values = result.per_query(metric, method)
    if values is None:
        return None
    rows = [pd.DataFrame({"layer": pd.NA, "query": result.query_rows, "value": values})]
    by_layer = result.by_layer.get(f"{metric}/{method}")
    if by_layer is not None:
        layers = by_layer.mean(axis=0)
        rows.append(pd.DataFrame({"layer": range(len(layers)), "query": pd.NA, "value": layers}))
    return pd.concat(rows, ignore_index=True).assign(
        model=result.provenance["model"], task=task, seed=result.spec["seed"], method=method, metric=metric
    )
