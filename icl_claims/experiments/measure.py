"""What the answers to a batch of queries give: numbers by query and layer; activations are forgotten after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from icl_claims.experiments.result import IN_CONTEXT, entry_of
from icl_claims.experiments.spec import TrialSpec
from icl_claims.methods import Answer, another_querys_update, gaussian_update
from icl_claims.metrics.similarity import sim_am, sim_am_update, sim_aou, sim_aou_random, uniform_updates
from icl_claims.metrics.training_attention import random_attention
from icl_claims.statistics.rank import kendall_tau

ZERO_SHOT, RANDOM, LENGTHS = "zero_shot", "random_update", "demonstration_lengths"
WITH_NULLS = ("finetuning", "layer_causal", "linearized")
"""The methods whose updates are also replaced by random ones of the same size and by those of another query."""
DIAGNOSED = (ZERO_SHOT, IN_CONTEXT, "finetuning", "layer_causal")
"""The methods of which every layer's own prediction and the attention to the demonstrations are measured.

Each but in-context learning reads the demonstrations once more for it.
"""

Numbers = dict[str, dict[str, Any]]
"""`log_probabilities` by method and `by_layer` by entry, a row for every query of the batch."""


def measure(
    spec: TrialSpec,
    answers: Mapping[str, Answer],
    gold: Int[np.ndarray, " batch"],
    queries: list[int],
    partners: list[int] | None,
    lengths: Sequence[int],
) -> Numbers:
    """The numbers of a batch.

    Args:
        spec: of the trial.
        answers: by method.
        gold: the true labels.
        queries: the index of each query of the batch in the trial, from which its random draws follow.
        partners: for each query of the batch, the place in it of another one, whose update serves as a control; None
            where there is only one query.
        lengths: tokens of each demonstration in the context: a longer one gets more attention from whatever attends.
    """
    by_layer: dict[str, Any] = {}
    for method, reference in pairs(tuple(answers)):
        compared = similarities(spec, answers[method], answers[reference], answers[ZERO_SHOT], method)
        by_layer |= {entry_of(metric, method, reference): values for metric, values in compared}
    for name, null in _nulls(spec, answers, queries, partners):
        compared = similarities(spec, null, answers[IN_CONTEXT], answers[ZERO_SHOT], name)
        by_layer |= {entry_of(metric, name): values for metric, values in compared}
    by_layer[entry_of("sim_aou", RANDOM)] = _uniform(spec, answers, queries)
    lenses = {
        entry_of("lens_loss", name): _lens_loss(numbers(answer.lens), gold)
        for name, answer in answers.items()
        if answer.lens is not None
    }
    orders = {
        entry_of("kendall", name): tau for name, tau in _orders_of_demonstrations(spec, answers, queries, lengths)
    }
    return {
        "log_probabilities": {name: numbers(answer.log_probabilities) for name, answer in answers.items()},
        "by_layer": {entry: numbers(values).astype(np.float32) for entry, values in by_layer.items()} | orders | lenses,
    }


def pairs(methods: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Which method is compared with which: all with in-context learning, and some with a variant of it.

    Finetuning is compared with every variant of in-context learning, and a variant of finetuning with the like one.
    """
    for method in methods:
        if method != IN_CONTEXT:
            yield method, IN_CONTEXT
    for variant in methods:
        if variant.startswith(f"{IN_CONTEXT}_"):
            change = variant.removeprefix(IN_CONTEXT)
            yield from ((name, variant) for name in ("finetuning", f"finetuning{change}") if name in methods)


def similarities(
    spec: TrialSpec, answer: Answer, in_context: Answer, zero_shot: Answer, method: str
) -> Iterator[tuple[str, Tensor]]:
    """Every similarity of a method with in-context learning, by name."""
    if method != ZERO_SHOT:
        outputs = in_context.attention_outputs, answer.attention_outputs, zero_shot.attention_outputs
        yield "sim_aou", sim_aou(*outputs)
        yield "sim_aou_unnormalised", sim_aou(*outputs, normalised=False)
    if answer.scores is None or in_context.scores is None or zero_shot.scores is None:
        return
    yield "sim_am", sim_am(in_context.scores, answer.scores)
    if method != ZERO_SHOT:
        yield "sim_am_update", sim_am_update(in_context.scores, answer.scores, zero_shot.scores)


def _nulls(
    spec: TrialSpec, answers: Mapping[str, Answer], queries: list[int], partners: list[int] | None
) -> Iterator[tuple[str, Answer]]:
    zero_shot = answers[ZERO_SHOT]
    for method in (name for name in WITH_NULLS if name in answers):
        yield f"gaussian_of_{method}", gaussian_update(answers[method], zero_shot, queries, spec.seed)
        if partners is not None:
            yield f"other_query_of_{method}", another_querys_update(answers[method], zero_shot, partners)


def _uniform(spec: TrialSpec, answers: Mapping[str, Answer], queries: list[int]) -> Tensor:
    in_context, zero_shot = answers[IN_CONTEXT].attention_outputs, answers[ZERO_SHOT].attention_outputs
    layers, _, hidden = in_context.shape
    drawn = uniform_updates(layers, hidden, queries, spec.seed, in_context.device)
    return sim_aou_random(in_context, zero_shot, drawn, baseline=spec.protocol.random_baseline)


def _orders_of_demonstrations(
    spec: TrialSpec, answers: Mapping[str, Answer], queries: list[int], lengths: Sequence[int]
) -> Iterator[tuple[str, Float[np.ndarray, "batch layers"]]]:
    """Kendall's tau between the attention that in-context learning gives to the demonstrations and another, by name.

    Two nulls are among the others: numbers without order, and how long the demonstrations are.
    """
    shares = {
        name: numbers(answer.training_attention)
        for name, answer in answers.items()
        if answer.training_attention is not None
    }
    if IN_CONTEXT not in shares:
        return
    in_context = shares.pop(IN_CONTEXT)
    layers, _, demonstrations = in_context.shape
    shares[RANDOM] = random_attention(layers, demonstrations, queries, spec.seed)
    shares[LENGTHS] = np.broadcast_to(np.asarray(lengths, dtype=float), in_context.shape)
    for name, other in shares.items():
        yield name, kendall_tau(in_context, other).T.astype(np.float32)


def numbers(values: Tensor) -> Any:
    """A tensor as a NumPy array of float64, detached and on the CPU."""
    return values.detach().cpu().double().numpy()


def _lens_loss(
    lens: Float[np.ndarray, "layers batch labels"], gold: Int[np.ndarray, " batch"]
) -> Float[np.ndarray, "batch layers"]:
    """Cross-entropy, in nats, of the true label in the prediction that is read off each layer."""
    return np.asarray(-np.take_along_axis(lens, gold[None, :, None], axis=2)[:, :, 0].T, dtype=np.float32)
