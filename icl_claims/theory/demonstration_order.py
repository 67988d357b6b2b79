"""What the order of demonstrations changes: nothing in full-batch descent, one term a swap in descent one by one.

Source: Shen et al. 2024, on order sensitivity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory.linear_self_attention import Demonstrations, LinearSelfAttention, Tokens, attend

Weights = Float[Tensor, "outputs inputs"]
Inputs = Float[Tensor, "demonstrations inputs"]
Targets = Float[Tensor, "demonstrations outputs"]
Pair = Float[Tensor, "2 inputs"]
Loss = Callable[[Tensor, Tensor], Tensor]


def full_batch_descent(
    weights: Weights, inputs: Inputs, targets: Targets, *, rate: float, steps: int, loss: Loss
) -> Weights:
    """Gradient descent on the loss over all demonstrations at once.

    Args:
        weights: W_0.
        inputs: demonstrations x_j, one a row.
        targets: y_j.
        rate: the learning rate.
        steps: how many.
        loss: of the layer's outputs and the targets, a sum or mean over demonstrations.
    """
    slope = torch.func.grad(lambda w: loss(inputs @ w.mT, targets))
    for _ in range(steps):
        weights = weights - rate * slope(weights)
    return weights


def one_epoch(weights: Weights, inputs: Inputs, targets: Targets, rate: float) -> Weights:
    """Gradient descent on 1/2 |W x_j - y_j|^2, one demonstration after the other."""
    for x, y in zip(inputs, targets, strict=True):
        weights = weights - rate * torch.outer(weights @ x - y, x)
    return weights


def swap(weights: Weights, inputs: Pair, targets: Float[Tensor, "2 outputs"], rate: float) -> Weights:
    """What a swap of two demonstrations changes: eta^2 (x_1^T x_2) (r_1 x_2^T - r_2 x_1^T), with r_j = W x_j - y_j.

    Returns:
        The weights after 1, 2 minus the weights after 2, 1. It is 0 only where the inputs are orthogonal (or there is
        nothing to learn), and of second order in the rate.

    Source: the two products of `one_epoch`, multiplied out.
    """
    (first, second), (residual, other) = inputs, inputs @ weights.mT - targets
    overlap = first @ second
    change = torch.outer(residual, second) - torch.outer(other, first)
    difference: Weights = rate * rate * overlap * change
    return difference


def causal_stack(layers: Sequence[LinearSelfAttention], demonstrations: Demonstrations, tokens: Tokens) -> Tokens:
    """As `linear_self_attention.stack`, but a demonstration reads only itself and those before it.

    Queries read all demonstrations. This is what a causal language model does, without its softmax and positions.
    """
    for layer in layers:
        count = demonstrations.shape[-2]
        seen = [attend(layer, demonstrations[: j + 1], demonstrations[j : j + 1]) for j in range(count)]
        tokens = attend(layer, demonstrations, tokens)
        demonstrations = torch.cat(seen) if seen else demonstrations
    return tokens
