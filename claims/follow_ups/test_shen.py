"""Shen et al. 2024: what the order of demonstrations can change, in attention and in gradient descent.

A language model's answers do depend on the order. So does gradient descent that takes one demonstration after the
other, but neither full-batch descent nor linear attention does, which is why order can tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import IN_EVERY_CASE, Decide, shen
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import example_by_example as demonstration_order
from icl_claims.theory import linear_self_attention

from ..cases import Loss, losses
from .strategies import Attention, Regression, attention_layers, regressions


@shen.claim(
    "order-invariance",
    where="order sensitivity of in-context learning and gradient descent",
    rule=IN_EVERY_CASE,
    on="exact",
)
def test_order_changes_stochastic_descent_only(evidence: ExactEvidence, decide: Decide) -> None:
    """Neither linear attention over demonstrations nor full-batch gradient descent depends on the order of the
    demonstrations; an epoch of stochastic gradient descent does.
    """

    @given(attention_layers(layers=3))
    def linear_attention_is_invariant(case: Attention) -> None:
        reordered = linear_self_attention.stack(case.layers, case.demonstrations[case.order], case.queries)
        as_given = linear_self_attention.stack(case.layers, case.demonstrations, case.queries)
        evidence.equal(reordered, as_given, "queries after three layers, demonstrations reordered")

    @given(regressions(), losses(), st.integers(0, 5), st.randoms(use_true_random=False))
    def full_batch_descent_is_invariant(case: Regression, loss: Loss, steps: int, random: Random) -> None:
        order = random.sample(range(len(case.inputs)), len(case.inputs))
        rate, targets = min(case.rate, 0.1), case.targets.softmax(-1)
        trained = demonstration_order.full_batch_descent(
            case.weights, case.inputs[order], targets[order], rate=rate, steps=steps, loss=against(loss.kind)
        )
        evidence.equal(trained, by_autograd(case, targets, loss.kind, rate, steps), "weights after full-batch descent")

    @given(regressions(least_demonstrations=2))
    def a_swap_changes_an_epoch_by_its_closed_form(case: Regression) -> None:
        two, goals = case.inputs[:2], case.targets[:2]
        in_order, swapped = sgd_epoch(case, [0, 1]), sgd_epoch(case, [1, 0])
        evidence.equal(demonstration_order.one_epoch(case.weights, two, goals, case.rate), in_order, "an epoch")
        change = in_order - swapped
        evidence.different(change, torch.zeros_like(change), "an epoch and the epoch with a swap")
        closed_form = demonstration_order.swap(case.weights, two, goals, case.rate)
        evidence.equal(in_order, swapped + closed_form, "a swap")

    decide(
        evidence.every(
            linear_attention_is_invariant, full_batch_descent_is_invariant, a_swap_changes_an_epoch_by_its_closed_form
        )
    )


@test_order_changes_stochastic_descent_only.claim.needs(
    "demonstrations that overlap, for stochastic descent to depend on their order"
)
def test_orthogonal_demonstrations_can_come_in_any_order(evidence: ExactEvidence, decide: Decide) -> None:
    """An epoch over orthogonal demonstrations is the same in any order."""

    @given(regressions(least_demonstrations=2, least_inputs=2))
    def an_epoch_is_invariant(case: Regression) -> None:
        orthogonal = torch.linalg.qr(case.inputs[:2].T)[0].T
        in_order, swapped = (
            demonstration_order.one_epoch(case.weights, orthogonal[order], case.targets[:2][order], case.rate)
            for order in ([0, 1], [1, 0])
        )
        evidence.equal(in_order, swapped, "an epoch of two orthogonal demonstrations, swapped")

    decide(evidence.every(an_epoch_is_invariant))


@test_order_changes_stochastic_descent_only.claim.needs("demonstrations that see each other, or a single layer")
def test_with_a_causal_mask_order_matters_from_layer_two_on(evidence: ExactEvidence, decide: Decide) -> None:
    """Under a causal mask two layers of linear attention depend on the order, as one does not."""

    @given(attention_layers(layers=2))
    def causal_attention_depends_on_order(case: Attention) -> None:
        def answered(layers: int, demonstrations: torch.Tensor) -> torch.Tensor:
            return demonstration_order.causal_stack(case.layers[:layers], demonstrations, case.queries) - case.queries

        reordered = case.demonstrations[case.order]
        evidence.equal(answered(1, reordered), answered(1, case.demonstrations), "one causal layer")
        evidence.different(answered(2, reordered), answered(2, case.demonstrations), "two causal layers")

    decide(evidence.every(causal_attention_depends_on_order))


def against(kind: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A loss of outputs and targets, a sum over demonstrations."""
    functions = {
        "squared": lambda outputs, targets: (outputs - targets).square().sum() / 2,
        "huber": lambda outputs, targets: torch.nn.functional.huber_loss(outputs, targets, reduction="sum"),
        "cross_entropy": lambda outputs, targets: -(targets * outputs.log_softmax(-1)).sum(),
    }
    return functions[kind]


def by_autograd(case: Regression, targets: torch.Tensor, kind: str, rate: float, steps: int) -> torch.Tensor:
    """Full-batch descent with gradients accumulated one demonstration at a time, in the order given."""
    weights = torch.nn.Parameter(case.weights.clone())
    optimizer = torch.optim.SGD([weights], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        for x, y in zip(case.inputs, targets, strict=True):
            against(kind)((x @ weights.T)[None], y[None]).backward()
        optimizer.step()
    return weights.detach()


def sgd_epoch(case: Regression, order: list[int]) -> torch.Tensor:
    """One epoch of torch's SGD on squared loss over the demonstrations in this order."""
    weights = torch.nn.Parameter(case.weights.clone())
    optimizer = torch.optim.SGD([weights], lr=case.rate)
    for j in order:
        optimizer.zero_grad()
        ((weights @ case.inputs[j] - case.targets[j]).square().sum() / 2).backward()
        optimizer.step()
    return weights.detach()
