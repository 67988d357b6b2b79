"""What a trial gives: numbers by query and layer, predictions, timings and provenance; no activation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from icl_claims.metrics import predictions
from icl_claims.metrics.calibration import predicted_labels

IN_CONTEXT = "in_context"
SIMILARITIES = ("sim_aou", "sim_aou_unnormalised", "sim_am", "sim_am_update")
LAYER_METRICS = (*SIMILARITIES, "kendall", "lens_loss")
CHANGES_COUNTED: dict[str, predictions.Changes] = {"rpa": "all", "rpa_correct": "correct", "rpa_incorrect": "incorrect"}
PREDICTION_METRICS = ("accuracy", "changed", "rec2ftp", *CHANGES_COUNTED, "most_frequent_label", "order_spread")
STEP_METRICS = ("gradient_norm", "log_gradient_ratio", "first_log_gradient_ratio")
WEIGHT_METRICS = ("drift",)
METRICS = (*PREDICTION_METRICS, *LAYER_METRICS, *STEP_METRICS, *WEIGHT_METRICS)
Depth = tuple[float, float]
WHOLE: Depth = (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class TrialResult:
    """The result of one trial.

    Args:
        spec: the specification, as plain data.
        query_rows: row of each query in the evaluation file.
        gold: label of each query.
        log_probabilities: by method, of each label's verbalizer.
        content_free: by method, the same for the queries without content.
        by_layer: by "metric/method", or "metric/method|reference" where the reference is not in-context learning.
        gradient_norms: by method, of the keys' and values' gradients at every step and layer, before any clipping.
        drift: by method, how much learning changed the keys' and values' weights, relative to their size, by layer.
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
    gradient_norms: dict[str, Float[np.ndarray, "steps layers"]] = field(default_factory=dict)
    drift: dict[str, Float[np.ndarray, " layers"]] = field(default_factory=dict)
    losses: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that answered."""
        return tuple(self.log_probabilities)

    @property
    def measured(self) -> tuple[str, ...]:
        """The methods that answered, then the controls that only have similarities."""
        compared = dict.fromkeys(entry.partition("/")[2].partition("|")[0] for entry in self.by_layer)
        return (*self.methods, *(name for name in compared if name not in self.methods))

    def predicted(self, method: str) -> Int[np.ndarray, " queries"]:
        """The label that a method gives to each query, calibrated as the specification says."""
        return predicted_labels(
            self.log_probabilities[method], self.content_free[method], self.spec["protocol"]["calibration"]
        )

    def column(
        self, metric: str, method: str, reference: str = IN_CONTEXT, layers: Depth = WHOLE
    ) -> Float[np.ndarray, "_ ..."] | None:
        """One value a query, NaN where it does not count; the metric is their mean. None if it was not measured.

        Metrics of attention are means over layers; those of predictions are 0 or 1. RPA has [queries, 2] values, one
        for each change of a query. Gradients have one value a step of learning; those of the first step, which is taken
        from the same weights by all methods, and changes of weights have a single one.

        Args:
            metric: one of `METRICS`.
            method: the method that is measured.
            reference: the method it is compared with, where the metric compares.
            layers: the layers whose mean is taken, from which share of the depth to which.
        """
        if metric in PREDICTION_METRICS:
            return self._of_predictions(metric, method, reference)
        values = self.values_by_layer(metric, method, reference)
        return None if values is None else _mean_of_layers(values, layers)

    def values_by_layer(
        self, metric: str, method: str, reference: str = IN_CONTEXT
    ) -> Float[np.ndarray, "_ layers"] | None:
        """One row a query, a step or a trial, and a column a layer. None if it was not measured."""
        if metric in LAYER_METRICS:
            return self.by_layer.get(entry_of(metric, method, reference))
        if metric == "drift":
            return self.drift[method][None] if method in self.drift else None
        norms = self.gradient_norms.get(method)
        if metric == "gradient_norm" or norms is None:
            return norms
        standard = self.gradient_norms.get("finetuning")
        if standard is None:
            return None
        steps = slice(1) if metric == "first_log_gradient_ratio" else slice(None)
        return np.asarray(np.log(norms[steps] / standard[steps]))

    def _of_predictions(self, metric: str, method: str, reference: str) -> Float[np.ndarray, "queries ..."] | None:
        if not {method, reference, "zero_shot"} <= set(self.methods):
            return None
        answered, zero_shot, in_context = (self.predicted(name) for name in (method, "zero_shot", reference))
        if metric == "accuracy":
            return predictions.accuracy(answered, self.gold)
        if metric == "changed":
            return predictions.changed(answered, zero_shot)
        if metric == "most_frequent_label":
            return predictions.most_frequent_label(answered)
        if metric == "order_spread":
            return self._order_spread(method)
        if metric == "rec2ftp":
            return predictions.rec2ftp(in_context, answered, zero_shot, self.gold)
        return predictions.rpa(
            in_context,
            answered,
            zero_shot,
            self.gold,
            only=CHANGES_COUNTED[metric],
            agreement=self.spec["protocol"]["agreement"],
        )

    def _order_spread(self, method: str) -> Float[np.ndarray, " queries"] | None:
        orders = [name for name in self.methods if name.startswith(f"{method}_order_")]
        if not orders:
            return None
        return predictions.spread(np.stack([self.predicted(name) for name in (method, *orders)]))


def entry_of(metric: str, method: str, reference: str = IN_CONTEXT) -> str:
    """The name under which a metric by layer is kept."""
    return f"{metric}/{method}" + ("" if reference == IN_CONTEXT else f"|{reference}")


def _mean_of_layers(values: Float[np.ndarray, "_ layers"], depth: Depth) -> Float[np.ndarray, " _"]:
    count = values.shape[1]
    first, last = (round(share * count) for share in depth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a query of which no layer counts has no value
        return np.asarray(np.nanmean(values[:, first : max(last, first + 1)], axis=1), dtype=float)
