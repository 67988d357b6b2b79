"""Evidence of our own trials: what claims can ask of them, and all their numbers as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from icl_claims.claims import Comparison, Finding, Outcome, Quantity
from icl_claims.evidence.comparison import (
    ALL_TASKS,
    Side,
    direction,
    equal_in_words,
    in_words,
    judge,
    judge_equal,
    unknown_quantity,
)
from icl_claims.evidence.trial_findings import Asked, Judge, finding_of, finding_together, quantities
from icl_claims.experiments.result import LAYER_METRICS, METRICS, PREDICTION_METRICS, TrialResult, mean_over_rows
from icl_claims.statistics.equivalence import CONFIDENCE_FOR_EQUIVALENCE
from icl_claims.statistics.influence import by_query
from icl_claims.statistics.intervals import CONFIDENCE, Interval

Results = Mapping[str, Sequence[TrialResult]]
"""Trials by task, one for each draw of demonstrations."""


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
            {"task": task, **{name: result.spec[name] for name in ("k", "seed", "permutation")}}
            | result.spec["protocol"]
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
        for quantity in quantities(left, side):
            if quantity.metric not in METRICS:
                raise unknown_quantity(quantity, self.source, METRICS)
        asked = [Asked(self.results_of, task, left, side) for task in tasks]
        return (
            *(finding_of(of_task, judged, confidence) for of_task in asked),
            finding_together(asked, judged, confidence),
        )


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
