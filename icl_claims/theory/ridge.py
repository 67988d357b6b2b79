"""Two identities behind ridge regression in a transformer: a step on an example, and the solution, example by example.

Source: Akyürek et al. 2023, sections 3.2 and 3.3.
"""

import torch
from jaxtyping import Float
from torch import Tensor

RidgeWeights = Float[Tensor, " inputs"]
SquareMatrix = Float[Tensor, "inputs inputs"]


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


def solve_by_examples(
    inputs: Float[Tensor, "demonstrations inputs"], targets: Float[Tensor, " demonstrations"], penalty: float
) -> RidgeWeights:
    """Ridge regression (X^T X + lambda I)^-1 X^T y, from I / lambda by one rank-one update per example.

    Source: Akyürek et al. 2023, section 3.3, theorem 2.

    >>> round(solve_by_examples(torch.ones(2, 1), torch.tensor([1.0, 3.0]), penalty=2.0).item(), 3)
    1.0
    """
    inverse = torch.eye(inputs.shape[1], dtype=inputs.dtype) / penalty
    for x in inputs:
        inverse = add_rank_one(inverse, x, x)
    return inverse @ (inputs.mT @ targets)
