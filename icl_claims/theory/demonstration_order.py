"""The effect of the order of demonstrations: none in full-batch descent, one term per swap in descent one by one.

Source: Shen et al. 2024, on order sensitivity.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory.linear_self_attention import DemonstrationTokens, LinearSelfAttention, Tokens, attend_linearly

StartWeights = Float[Tensor, "outputs inputs"]
ExampleInputs = Float[Tensor, "demonstrations inputs"]
Targets = Float[Tensor, "demonstrations outputs"]
Pair = Float[Tensor, "2 inputs"]
ExampleLoss = Callable[[Tensor, Tensor], Tensor]


def full_batch_descent(
    weights: StartWeights, inputs: ExampleInputs, targets: Targets, *, rate: float, steps: int, loss: ExampleLoss
) -> StartWeights:
    """Gradient descent on the loss over all demonstrations at once.

    >>> x, y = torch.ones(2, 1), torch.ones(2, 1)
    >>> full_batch_descent(torch.zeros(1, 1), x, y, rate=0.25, steps=1, loss=torch.nn.functional.mse_loss).item()
    0.5
    """
    slope = torch.func.grad(lambda w: loss(inputs @ w.mT, targets))
    for _ in range(steps):
        weights = weights - rate * slope(weights)
    return weights


def one_epoch(weights: StartWeights, inputs: ExampleInputs, targets: Targets, rate: float) -> StartWeights:
    """Gradient descent on 1/2 |W x_j - y_j|^2, one demonstration after the other.

    >>> one_epoch(torch.zeros(1, 1), torch.ones(2, 1), torch.ones(2, 1), rate=0.5).item()
    0.75
    """
    for x, y in zip(inputs, targets, strict=True):
        weights = weights - rate * torch.outer(weights @ x - y, x)
    return weights


def swap(weights: StartWeights, inputs: Pair, targets: Float[Tensor, "2 outputs"], rate: float) -> StartWeights:
    """The effect of swapping two demonstrations: eta^2 (x_1^T x_2) (r_1 x_2^T - r_2 x_1^T), with r_j = W x_j - y_j.

    Returns:
        The weights after 1, 2 minus the weights after 2, 1. It is 0 only where the inputs are orthogonal (or there is
        nothing to learn), and of second order in the rate.

    Source: the two products of `one_epoch`, multiplied out.

    >>> swap(torch.zeros(1, 2), torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.ones(2, 1), rate=0.5).tolist()
    [[0.0, -0.25]]
    """
    (first, second), (residual, other) = inputs, inputs @ weights.mT - targets
    overlap = first @ second
    change = torch.outer(residual, second) - torch.outer(other, first)
    difference: StartWeights = rate * rate * overlap * change
    return difference


def causal_stack(layers: Sequence[LinearSelfAttention], demonstrations: DemonstrationTokens, tokens: Tokens) -> Tokens:
    """As `linear_self_attention.stack`, but a demonstration reads only itself and those before it.

    Queries read all demonstrations. A causal language model does the same, but for its softmax and positions.

    >>> layers = [LinearSelfAttention(*[torch.eye(1)] * 4)] * 2
    >>> causal_stack(layers, torch.tensor([[2.0], [1.0]]), torch.tensor([[1.0]])).item()  # `stack` gives 1086
    822.0
    """
    for layer in layers:
        count = demonstrations.shape[-2]
        seen = [attend_linearly(layer, demonstrations[: j + 1], demonstrations[j : j + 1]) for j in range(count)]
        tokens = attend_linearly(layer, demonstrations, tokens)
        demonstrations = torch.cat(seen) if seen else demonstrations
    return tokens
