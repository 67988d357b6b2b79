"""Evidence of our own trials: what claims can ask of them, and all their numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from icl_claims.evidence.asking import Numbers, TaskEvidence, quantities_in
from icl_claims.evidence.trial_numbers import AskedOfTrials, numbers_of_task, numbers_together
from icl_claims.experiments.result import TrialResult, mean_over_rows
from icl_claims.experiments.studies import STUDIES, Study, study_of
from icl_claims.metrics import METRICS, LearningMetric, PredictionMetric
from icl_claims.questions import Compared, Named, Near, Quantity
from icl_claims.statistics.influence import by_query

Results = Mapping[str, Sequence[TrialResult]]
"""Trials by task, one for each draw of demonstrations."""
MAIN = "main"


@dataclass(frozen=True, eq=False)
class TrialsEvidence(TaskEvidence):
    """The trials of one model.

    Args:
        results: The trials by the name of their study; a study that is not there was not run.
        details: Profile, model and data, for the report.
        studies: The studies that there are.
    """

    results: Mapping[str, Results]
    details: dict[str, Any] = field(default_factory=dict)
    studies: tuple[Study, ...] = tuple(STUDIES.values())
    source: str = "trials"

    def numbers(self, question: Compared | Near, tasks: Sequence[str], confidence: float) -> Sequence[Numbers]:
        """Quantities over the queries of each task, by the interval of their difference.

        A question about predictions is undecided on a task where in-context learning does not beat chance.

        Raises:
            ClaimError: No study measures such a quantity.
        """
        study = {}
        for quantity in quantities_in(*question.sides):
            found = study_of(quantity, self.studies)
            if found is None:
                self._refuse(quantity, [metric.name for metric in METRICS])
            study[quantity] = found.name
        asked = [AskedOfTrials(self.results_of, task, *question.sides, study) for task in tasks]
        together = numbers_together(asked, confidence)
        return [*(numbers_of_task(of_task, confidence) for of_task in asked), together]

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
            for metric in METRICS
            for method in result.measured
        ]
        return pd.concat([frame for frame in frames if frame is not None], ignore_index=True).assign(source=self.source)

    def results_of(self, study: str, task: str) -> Sequence[TrialResult]:
        """The trials of a task in a study; none if they were not run."""
        return self.results.get(study, {}).get(task, ())


def _tidy(result: TrialResult, task: str, quantity: Quantity) -> pd.DataFrame | None:
    values, metric = result.column(quantity), quantity.metric
    if values is None:
        return None
    rows = []
    if not isinstance(metric, LearningMetric):
        of_queries = by_query(values)
        kept = ~np.isnan(of_queries)
        kept[:, 0] = True
        queries = result.query_rows[np.nonzero(kept)[0]]
        rows.append(pd.DataFrame({"layer": pd.NA, "query": queries, "value": of_queries[kept]}))
    by_layer = None if isinstance(metric, PredictionMetric) else result.values_by_layer(quantity)
    if by_layer is not None:
        layers = mean_over_rows(by_layer)
        rows.append(pd.DataFrame({"layer": range(len(layers)), "query": pd.NA, "value": layers}))
    named: Named = quantity.method
    return pd.concat(rows, ignore_index=True).assign(
        model=result.provenance["model"], task=task, seed=result.spec.seed, method=named.name, metric=metric.name
    )
