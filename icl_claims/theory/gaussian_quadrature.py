"""Expectations of polynomials of normal numbers, exact up to rounding."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def grid(dimensions: int, *, nodes: int = 3) -> tuple[Float[Tensor, "points dimensions"], Float[Tensor, " points"]]:
    """Points and their weights: weighted sums over them are expectations of standard normal numbers.

    Exact for polynomials of degree up to 2 nodes - 1 in every single variable.

    Source: the Gauss-Hermite rule, one for every variable.

    >>> points, weights = grid(2)
    >>> tuple(points.shape), round((weights * points[:, 0] ** 4 * points[:, 1] ** 2).sum().item(), 12)
    ((9, 2), 3.0)
    """
    at, mass = np.polynomial.hermite_e.hermegauss(nodes)
    indices = np.indices((nodes,) * dimensions).reshape(dimensions, -1).T
    weights = np.prod(mass[indices] / mass.sum(), axis=1)
    return torch.from_numpy(at[indices]), torch.from_numpy(weights)
