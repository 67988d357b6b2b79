"""What a trial gives: numbers by query and layer, predictions, timings and provenance; no activation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from icl_claims.metrics import predictions
from icl_claims.metrics.calibration import predicted_labels

LAYER_METRICS = ("sim_aou", "sim_am", "sim_am_update")
CHANGES_COUNTED: dict[str, predictions.Changes] = {"rpa": "all", "rpa_correct": "correct", "rpa_incorrect": "incorrect"}
PREDICTION_METRICS = ("accuracy", "changed", "rec2ftp", *CHANGES_COUNTED)


@dataclass(frozen=True, eq=False)
class TrialResult:
    """The result of one trial.

    Args:
        spec: the specification, as plain data.
        query_rows: row of each query in the evaluation file.
        gold: label of each query.
        log_probabilities: by method, of each label's verbalizer.
        content_free: by method, the same for the queries without content.
        by_layer: by "metric/method", in [-1, 1].
        losses: by method, of every learning step, in nats per token.
        failures: by method, why it gave nothing.
        seconds: by what was done.
        provenance: where and with what the trial was run.
    """

    spec: dict[str, Any]
    query_rows: Int[np.ndarray, " queries"]
    gold: Int[np.ndarray, " queries"]
    log_probabilities: dict[str, Float[np.ndarray, "queries labels"]]
    content_free: dict[str, Float[np.ndarray, "fillers labels"]]
    by_layer: dict[str, Float[np.ndarray, "queries layers"]]
    losses: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that answered."""
        return tuple(self.log_probabilities)

    def predicted(self, method: str) -> Int[np.ndarray, " queries"]:
        """The label that a method gives to each query, calibrated as the specification says."""
        return predicted_labels(self.log_probabilities[method], self.content_free[method], self.spec["calibration"])

    def per_query(self, metric: str, method: str) -> Float[np.ndarray, " queries"] | None:
        """One value a query, NaN where it does not count; the metric is their mean. None if it was not measured.

        Metrics of attention are means over layers; those of predictions are 0 or 1.
        """
        if metric in LAYER_METRICS:
            values = self.by_layer.get(f"{metric}/{method}")
            return None if values is None else values.mean(axis=1)
        if method not in self.methods:
            return None
        answered, zero_shot, in_context = (self.predicted(name) for name in (method, "zero_shot", "in_context"))
        if metric == "accuracy":
            return predictions.accuracy(answered, self.gold)
        if metric == "changed":
            return predictions.changed(answered, zero_shot)
        if metric == "rec2ftp":
            return predictions.rec2ftp(in_context, answered, zero_shot, self.gold)
        return predictions.rpa(
            in_context,
            answered,
            zero_shot,
            self.gold,
            only=CHANGES_COUNTED[metric],
            agreement=self.spec["agreement"],
        )
