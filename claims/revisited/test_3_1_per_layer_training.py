"""Section 3.1 and figure 1: every layer learns from its own prediction, and no gradient crosses a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from hypothesis import given
from torch import Tensor, nn

from icl_claims.claims import IN_EVERY_CASE, Decide, revisited
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.methods import layer_causal
from icl_claims.tasks.prompts import Demonstrations

from ..small_transformers import (
    SINGLE_PRECISION,
    Small,
    block_gradients,
    block_names,
    change_of,
    cut_after,
    few_cases,
    key_value_gradients,
    key_value_part,
    next_token_loss,
    small_demonstrations,
    small_transformers,
    take_step,
)

LEARNING_RATE = 0.1
Leaves: TypeAlias = dict[str, Tensor]


@revisited.claim("lc-detached", where="section 3.1, change 2", rule=IN_EVERY_CASE, on="exact")
def test_the_loss_of_a_layer_has_a_gradient_in_that_layer_only(evidence: ExactEvidence, decide: Decide) -> None:
    """In per-layer training no gradient passes from a layer to another: a layer's weights feel the loss of their own
    layer and no other.
    """

    @few_cases
    @given(small_transformers(), small_demonstrations(most=1))
    def gradients_of_one_loss_in_other_layers_are_zero(
        transformers: tuple[Small, ...], demonstrations: Demonstrations
    ) -> None:
        for small in transformers:
            leaves, losses = leaves_and_losses(small, demonstrations.sequences[0])
            for own, loss in enumerate(losses):
                for layer in range(small.layers):
                    size = gradient(loss, leaves, layers_of(small, layer)).norm()
                    what = f"{small.family}: loss {own} in layer {layer}"
                    evidence.check(bool(size > 0) if own == layer else bool(size == 0), what)

    @few_cases
    @given(small_transformers(), small_demonstrations(most=1))
    def the_sum_of_losses_has_the_gradient_of_each_layers_own(
        transformers: tuple[Small, ...], demonstrations: Demonstrations
    ) -> None:
        for small in transformers:
            ids = demonstrations.sequences[0]
            leaves, losses = leaves_and_losses(small, ids)
            network = small.plain()
            for layer in range(small.layers):
                names = layers_of(small, layer)
                of_sum = gradient(torch.stack(losses).sum(), leaves, names)
                evidence.equal(of_sum, gradient(losses[layer], leaves, names), "gradient of the sum = of the own loss")
                literal = block_gradients(small, network, ids, layer)
                of_cut = torch.cat([literal[name].flatten() for name in names])
                parts = torch.cat([tuned_part(name, literal[name]).flatten() for name in names])
                what = f"{small.family}: = gradient in a model that ends after layer {layer}"
                evidence.equal(of_sum * parts, of_cut, what, within=SINGLE_PRECISION)

    @few_cases
    @given(small_transformers(), small_demonstrations(most=1))
    def without_detaching_lower_layers_would_feel_it(
        transformers: tuple[Small, ...], demonstrations: Demonstrations
    ) -> None:
        for small in transformers:
            network, names = small.plain(), block_names(small)
            with cut_after(network, names, 1):
                below = key_value_gradients(network, demonstrations.sequences[0], names[:1])
            felt = torch.cat([g.flatten() for g in below.values()])
            evidence.different(felt, torch.zeros_like(felt), f"{small.family}: loss 1 in layer 0, by backpropagation")

    decide(
        evidence.every(
            gradients_of_one_loss_in_other_layers_are_zero,
            the_sum_of_losses_has_the_gradient_of_each_layers_own,
            without_detaching_lower_layers_would_feel_it,
        )
    )


@revisited.claim("lc-losses-summed", where="figure 1", rule=IN_EVERY_CASE, on="exact")
def test_a_step_is_one_step_on_the_sum_of_the_losses(evidence: ExactEvidence, decide: Decide) -> None:
    """A step of per-layer training is one step of gradient descent on the sum of the losses of all layers."""

    @few_cases
    @given(small_transformers(), small_demonstrations(most=2))
    def steps_are_those_written_out(transformers: tuple[Small, ...], demonstrations: Demonstrations) -> None:
        for small in transformers:
            learned = layer_causal.LayerCausal(LEARNING_RATE).learn(small.model(), demonstrations)
            network, sums = small.plain(), []
            for ids in demonstrations.sequences:
                sums.append(sum(float(loss_after(small, network, ids, block)) for block in range(small.layers)))
                gradients: dict[str, Tensor] = {}
                for block in range(small.layers):
                    gradients |= block_gradients(small, network, ids, block)
                take_step(network, gradients, LEARNING_RATE)
            evidence.equal(learned.losses, sums, f"{small.family}: the loss is the sum", within=SINGLE_PRECISION)
            changes = change_of(small, learned.weights), change_of(small, network)
            evidence.equal(*changes, f"{small.family}: the step, written out", within=SINGLE_PRECISION)

    @few_cases
    @given(small_transformers(), small_demonstrations(most=1))
    def it_is_one_step_not_one_for_each_layer(transformers: tuple[Small, ...], demonstrations: Demonstrations) -> None:
        for small in transformers:
            at_once, one_by_one = (
                layer_causal.LayerCausal(LEARNING_RATE, update).learn(small.model(), demonstrations).weights
                for update in ("concurrent", "sequential")
            )
            changes = change_of(small, at_once), change_of(small, one_by_one)
            evidence.different(*changes, f"{small.family}: all at once, one by one", by=10 * SINGLE_PRECISION)

    decide(evidence.every(steps_are_those_written_out, it_is_one_step_not_one_for_each_layer))


def leaves_and_losses(small: Small, ids: Sequence[int]) -> tuple[Leaves, list[Tensor]]:
    """The tuned parameters as leaves, and the loss of every block's prediction as a function of them."""
    leaves = {name: value.clone().requires_grad_() for name, value in small.model().tuned_values().items()}
    return leaves, layer_causal.block_losses(small.model(), leaves, ids)


def layers_of(small: Small, layer: int) -> list[str]:
    """Names of the tuned parameters of a layer."""
    return [p.name for p in small.model().tuned_parameters if p.layer == layer]


def tuned_part(name: str, parameter: Tensor) -> Tensor:
    """Ones where a tuned parameter makes keys or values, zeros where it makes queries."""
    part = key_value_part(name, parameter)
    assert part is not None
    return part


def gradient(loss: Tensor, leaves: Leaves, names: Sequence[str]) -> Tensor:
    """Of a loss for some leaves, end to end; 0 where there is no path."""
    asked = [leaves[name] for name in names]
    found = torch.autograd.grad(loss, asked, retain_graph=True, allow_unused=True, materialize_grads=True)
    return torch.cat([g.flatten() for g in found])


def loss_after(small: Small, network: nn.Module, ids: Sequence[int], block: int) -> Tensor:
    """The loss of a model that ends after a block."""
    with cut_after(network, block_names(small), block):
        return next_token_loss(network, ids)
