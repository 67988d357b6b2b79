"""What a trial gives: numbers by query and layer, predictions, timings and provenance."""

import warnings
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from jaxtyping import Float, Int

from icl_claims import errors, metrics, questions
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import IN_CONTEXT, STANDARD, ZERO_SHOT, orders_of
from icl_claims.storage import checksummed, store


class Entry(NamedTuple):
    """The names of a metric by layer, of the method it is measured of, and of what that is compared with."""

    metric: str
    method: str
    reference: str = IN_CONTEXT.name

    @classmethod
    def of(cls, quantity: questions.Quantity) -> Self:
        """The entry of a quantity."""
        return cls(quantity.metric.name, quantity.method.name, (quantity.reference or IN_CONTEXT).name)


BatchNumbers = dict[str, dict[Any, Any]]
"""`log_probabilities` by method; `by_layer` and, for metrics of all queries together, `features` by `Entry`: a row for
every query of a batch."""
BY_ENTRY = dict.fromkeys(("by_layer", "over_queries", "features"), Entry)
"""The groups of arrays whose names are entries."""


@dataclass(frozen=True, eq=False)
class TrialResult:
    """The result of one trial.

    >>> from icl_claims import InContext, TrialSpec, ZeroShot, accuracy, load_model, run_trial, synthetic_task
    >>> model, task = load_model("tiny"), synthetic_task("sst2")
    >>> trial = run_trial(TrialSpec.of(model, task, [], k=16, queries=32), model, task)
    >>> trial.mean(accuracy(InContext())) > trial.mean(accuracy(ZeroShot()))
    True

    Args:
        log_probabilities: Log-probabilities of each label's verbalizer, by method.
        content_free: The same for the queries without content.
        gradient_norms: Norms of the keys' and values' gradients at every step and layer, by method, before clipping.
        drift: How much learning changed the keys' and values' weights, relative to their size, by method and layer.
        losses: Loss of every learning step, in nats per token, by method.
        failures: Why a method gave nothing.
        provenance: Where and with what the trial was run.
    """

    spec: TrialSpec
    query_rows: Int[np.ndarray, " queries"]
    gold: Int[np.ndarray, " queries"]
    log_probabilities: dict[str, Float[np.ndarray, "queries labels"]]
    content_free: dict[str, Float[np.ndarray, "fillers labels"]]
    by_layer: dict[Entry, Float[np.ndarray, "queries layers"]]
    over_queries: dict[Entry, Float[np.ndarray, " layers"]] = field(default_factory=dict)
    gradient_norms: dict[str, Float[np.ndarray, "steps layers"]] = field(default_factory=dict)
    drift: dict[str, Float[np.ndarray, " layers"]] = field(default_factory=dict)
    losses: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def methods(self) -> tuple[str, ...]:
        """The names of the methods that answered."""
        return tuple(self.log_probabilities)

    @property
    def measured(self) -> tuple[questions.Named, ...]:
        """The methods that answered, then the nulls and baselines that were measured."""
        held = {entry.method for entry in (*self.by_layer, *self.over_queries)} | set(self.methods)
        return tuple(named for named in self.spec.named if named.name in held)

    def seconds_of(self, methods: Collection[str]) -> float:
        """How long some methods took to learn and to answer, by their names, with their share of the metrics."""
        alone = sum(spent for what, spent in self.seconds.items() if " " in what and what.split()[-1] in methods)
        of_all = sum(spent for what, spent in self.seconds.items() if " " not in what)
        return alone + of_all * len(methods) / max(len(self.spec.answering), 1)

    def predicted(self, method: questions.Named) -> Int[np.ndarray, " queries"]:
        """The label that a method gives to each query, calibrated as the specification says.

        The batch of batch calibration is all queries of the trial: given the draw their labels depend on each other,
        and only draws are independent.
        """
        said, without = self.log_probabilities[method.name], self.content_free[method.name]
        return metrics.predicted_labels(said, without, self.spec.protocol.calibration)

    def mean(self, quantity: questions.Quantity) -> float:
        """The mean of a quantity over queries; NaN if it was not measured or nothing counts."""
        column = self.column(quantity)
        counted = np.array([]) if column is None else column[~np.isnan(column)]
        return float(counted.mean()) if len(counted) else np.nan

    def column(self, quantity: questions.Quantity) -> Float[np.ndarray, "_ ..."] | None:
        """One value per query, NaN where it does not count; the quantity is their mean. None if it was not measured.

        Metrics of attention are means over layers; those of predictions are 0 or 1. RPA has [queries, 2] values, one
        for each change of a query. Metrics of learning, and those of all queries together, have a single value: the
        steps of one descent each follow from the one before, and are no independent evidence. The weights are always
        the trial's.
        """
        if isinstance(quantity.metric, metrics.PredictionMetric):
            return self._of_predictions(quantity.metric, quantity.method, quantity.reference or IN_CONTEXT)
        if (values := self.values_by_layer(quantity)) is None:
            return None
        first, last = (round(share * values.shape[1]) for share in quantity.layers)
        column = _mean(values[:, first : max(last, first + 1)], axis=1).astype(float)
        return _mean(column[None], axis=1) if isinstance(quantity.metric, metrics.LearningMetric) else column

    def values_by_layer(self, quantity: questions.Quantity) -> Float[np.ndarray, "_ layers"] | None:
        """One row per query, per step or per trial, and a column per layer. None if it was not measured."""
        metric, method = quantity.metric, quantity.method.name
        if isinstance(metric, metrics.SetMetric):
            found = self.over_queries.get(Entry.of(quantity))
            return None if found is None else found[None]
        if isinstance(metric, metrics.LayerMetric):
            return self.by_layer.get(Entry.of(quantity))
        if not isinstance(metric, metrics.LearningMetric):
            return None
        norms = self.gradient_norms
        course = metrics.Course(norms.get(method), norms.get(STANDARD.name), self.drift.get(method))
        values: Float[np.ndarray, "_ layers"] | None = metric.of(course)
        return values

    def _of_predictions(
        self, metric: metrics.PredictionMetric, method: questions.Named, reference: questions.Named
    ) -> Float[np.ndarray, "queries ..."] | None:
        if not {method.name, reference.name, ZERO_SHOT.name} <= set(self.methods):
            return None
        orders = [other for other in orders_of(method.name, self.spec.methods) if other.name in self.methods]
        if metric.over_orders and not orders:
            return None
        answered, in_context, zero_shot = (self.predicted(named) for named in (method, reference, ZERO_SHOT))
        tried = np.stack([self.predicted(named) for named in (method, *orders)]) if metric.over_orders else None
        said = self.log_probabilities[method.name]
        agreement = self.spec.protocol.agreement
        found = metrics.Predicted(answered, in_context, zero_shot, self.gold, tried, agreement, said)
        values: Float[np.ndarray, "queries ..."] = metric.of(found)
        return values


def mean_over_rows(values: np.ndarray) -> np.ndarray:
    """The mean of each column over the rows that count; NaN if none does."""
    return _mean(values, axis=0)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where nothing counts there is no value
        return np.asarray(np.nanmean(values, axis=axis))


def rounded(values: np.ndarray, places: int) -> Any:
    """Nested lists of rounded numbers for JSON, which knows no NaN: None stands for it."""
    plain = np.round(values.astype(float), places).astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()


_ROWS = ("query_rows", "gold")
_GROUPS = ("log_probabilities", "content_free", "by_layer", "over_queries", "gradient_norms", "drift")
_FACTS = ("losses", "failures", "seconds", "provenance")


def packed_result(spec: TrialSpec, result: TrialResult) -> store.Content:
    """A result as facts and arrays."""
    index, arrays = checksummed.flat({group: getattr(result, group) for group in _GROUPS})
    facts = {"spec": spec.record(), "index": index, **{name: getattr(result, name) for name in _FACTS}}
    return facts, {name: getattr(result, name) for name in _ROWS} | arrays


def unpacked_result(spec: TrialSpec, content: store.Content) -> TrialResult:
    """The result that `packed_result` made into facts and arrays.

    Raises:
        StoreError: a part of it is missing.
    """
    facts, arrays = content
    try:
        rows: dict[str, Any] = {name: arrays[name] for name in _ROWS}
        groups: dict[str, Any] = checksummed.grouped(facts["index"], arrays, _GROUPS, BY_ENTRY)
        return TrialResult(spec=spec, **rows, **groups, **{name: facts[name] for name in _FACTS})
    except KeyError as error:
        todo = "Another version of the project wrote it: delete its folder."
        raise errors.StoreError(
            f"The stored trial {spec.key()[:12]} lacks a part", expected=str(error), todo=todo
        ) from error
