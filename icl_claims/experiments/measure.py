"""What the answers to a batch of queries give: numbers by query and layer; activations are forgotten after it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from torch import Tensor

from icl_claims.experiments.result import Entry
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import IN_CONTEXT, ZERO_SHOT
from icl_claims.methods import Batch, pairs
from icl_claims.metrics import Answer, LayerMetric, Seen, SetMetric
from icl_claims.questions import Named

BatchNumbers = dict[str, dict[Any, Any]]
"""`log_probabilities` by method; `by_layer` and, for metrics of all queries together, `features` by `Entry`: a row for
every query of the batch."""


def measure(spec: TrialSpec, batch: Batch, gold: Int[np.ndarray, " batch"], lengths: Sequence[int]) -> BatchNumbers:
    """The numbers of a batch."""
    in_context = batch.answers[IN_CONTEXT.name]
    found: BatchNumbers = {"log_probabilities": {}, "by_layer": {}, "features": {}}
    found["log_probabilities"] = {name: numbers(answer.log_probabilities) for name, answer in batch.answers.items()}

    def keep(metric: LayerMetric, method: Named, reference: Named, values: Any) -> None:
        group = "features" if isinstance(metric, SetMetric) else "by_layer"
        single = (numbers(values) if isinstance(values, Tensor) else np.asarray(values)).astype(np.float32)
        found[group][Entry(metric.name, method.name, reference.name)] = single

    def seen(answer: Answer, reference: Answer) -> Seen:
        drawn = tuple(batch.queries), tuple(lengths), spec.seed, spec.protocol.random_baseline
        return Seen(answer, reference, batch.zero_shot, gold, *drawn)

    for method, reference, answer, other in _compared(spec, batch):
        for metric in (m for m in spec.layer_metrics if m.compares and m.applies(answer, other)):
            if not metric.of_updates or (method != ZERO_SHOT and metric.applies(batch.zero_shot)):
                keep(metric, method, reference, metric.of(seen(answer, other)))
    for metric in spec.layer_metrics:
        if not metric.compares:
            alone = [method for method in spec.answering if method.name in batch.answers]
            for method in (one for one in alone if metric.applies(batch.answers[one.name])):
                answer = batch.answers[method.name]
                keep(metric, method, IN_CONTEXT, metric.of(seen(answer, answer)))
        for baseline, values in metric.baselines:
            if metric.applies(in_context):
                keep(metric, baseline, IN_CONTEXT, values(seen(in_context, in_context)))
    return found


def _compared(spec: TrialSpec, batch: Batch) -> Iterator[tuple[Named, Named, Answer, Answer]]:
    """Every method that is compared and every null, what it is compared with, and the answers of both."""
    answers = batch.answers
    for method, reference in pairs(method for method in spec.answering if method.name in answers):
        yield method, reference, answers[method.name], answers[reference.name]
    for null in spec.nulls:
        if null.of.name in answers and (answer := null.answer(batch)) is not None:
            yield null, IN_CONTEXT, answer, answers[IN_CONTEXT.name]


def numbers(values: Tensor) -> Any:
    """A tensor as a NumPy array of float64, detached and on the CPU."""
    return values.detach().cpu().double().numpy()
