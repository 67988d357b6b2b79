"""Learning example by example: what the order of demonstrations changes, and ridge regression one example at a time.

Source: Shen et al. 2024, on order sensitivity; Akyürek et al. 2023, sections 3.2 and 3.3, on ridge regression.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory.linear_self_attention import DemonstrationTokens, LinearSelfAttention, Tokens, attend_linearly

StartWeights = Float[Tensor, "outputs inputs"]
ExampleInputs = Float[Tensor, "demonstrations inputs"]
Targets = Float[Tensor, "demonstrations outputs"]
RidgeWeights = Float[Tensor, " inputs"]
SquareMatrix = Float[Tensor, "inputs inputs"]


def full_batch_descent(
    weights: StartWeights,
    inputs: ExampleInputs,
    targets: Targets,
    *,
    rate: float,
    steps: int,
    loss: Callable[[Tensor, Tensor], Tensor],
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


def swap(
    weights: StartWeights, inputs: Float[Tensor, "2 inputs"], targets: Float[Tensor, "2 outputs"], rate: float
) -> StartWeights:
    """The effect of swapping two demonstrations: eta^2 (x_1^T x_2) (r_1 x_2^T - r_2 x_1^T), with r_j = W x_j - y_j.

    Returns:
        The weights after 1, 2 minus the weights after 2, 1. It is 0 only where the inputs are orthogonal (or there is
        nothing to learn), and of second order in the rate.

    Source: the two products of `one_epoch`, multiplied out.

    >>> swap(torch.zeros(1, 2), torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.ones(2, 1), rate=0.5).tolist()
    [[0.0, -0.25]]
    """
    (first, second), (residual, other) = inputs, inputs @ weights.mT - targets
    difference: Tensor = rate * rate * (first @ second) * (torch.outer(residual, second) - torch.outer(other, first))
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


def step(weights: RidgeWeights, x: RidgeWeights, y: Float[Tensor, ""], rate: float, penalty: float) -> RidgeWeights:
    """W - 2 eta (x w^T x - y x + lambda w): a gradient step on (w^T x - y)^2 + lambda |w|^2.

    Source: Akyürek et al. 2023, section 3.2, before theorem 1.

    >>> step(torch.zeros(1), torch.ones(1), torch.tensor(2.0), rate=0.25, penalty=0.0).tolist()
    [1.0]
    """
    return weights - 2 * rate * (x * (weights @ x) - y * x + penalty * weights)


def add_rank_one(inverse: SquareMatrix, left: RidgeWeights, right: RidgeWeights) -> SquareMatrix:
    """(A + u v^T)^-1 = A^-1 - A^-1 u v^T A^-1 / (1 + v^T A^-1 u).

    Source: Sherman and Morrison 1950; Akyürek et al. 2023, section 3.3, before theorem 2.

    >>> add_rank_one(torch.eye(1), torch.ones(1), torch.ones(1)).tolist()
    [[0.5]]
    """
    return inverse - torch.outer(inverse @ left, right @ inverse) / (1 + right @ inverse @ left)


def solve_by_examples(inputs: ExampleInputs, targets: Float[Tensor, " demonstrations"], penalty: float) -> RidgeWeights:
    """Ridge regression (X^T X + lambda I)^-1 X^T y, from I / lambda by one rank-one update per example.

    Source: Akyürek et al. 2023, section 3.3, theorem 2.

    >>> round(solve_by_examples(torch.ones(2, 1), torch.tensor([1.0, 3.0]), penalty=2.0).item(), 3)
    1.0
    """
    inverse = torch.eye(inputs.shape[1], dtype=inputs.dtype) / penalty
    for x in inputs:
        inverse = add_rank_one(inverse, x, x)
    return inverse @ (inputs.mT @ targets)
