"""The values of the similarity metrics for updates that have nothing to do with each other.

Source: Deutch et al. 2024, on the metrics; the closed forms are worked out here.
"""

from math import asin, cos, sqrt

import torch
from jaxtyping import Float
from torch import Tensor


def shrinkage(relative_square: float) -> float:
    """S = 1 / sqrt(1 + c): by how much scaling z + r back to the length of z shrinks z, for r orthogonal to z.

    The relative square c is |r|^2 / |z|^2.

    >>> shrinkage(3.0)
    0.5
    """
    return 1 / sqrt(1 + relative_square)


def sim_aou_floor(first: float, second: float | None = None) -> float:
    """SimAOU of two updates that are orthogonal to the state and to each other: sqrt((1 - s_1)(1 - s_2)) / 2.

    With u = z/|z|, scaling to unit length turns z + r into s (u + r/|z|), an update of (s - 1) u + s r/|z|. Two of them
    share the first part: their inner product is (1 - s_1)(1 - s_2), their squared lengths are 2 (1 - s_1) and
    2 (1 - s_2). For updates of one size this is (1 - s)/2, from 0 for small updates to 1/2 for large ones. Independent
    random directions are orthogonal up to 1/sqrt(dimension), so it is their expected SimAOU in high dimension.

    Args:
        first: relative square c = |r|^2 / |z|^2 of one update.
        second: relative square of the other; that of the first if None.

    >>> sim_aou_floor(3.0)
    0.25
    """
    s, t = shrinkage(first), shrinkage(first if second is None else second)
    return sqrt((1 - s) * (1 - t)) / 2


def least_direct_sim_am(first: float, second: float) -> float:
    """The least cosine of m + u and m + v: cos(arcsin(a) + arcsin(b)), with a = |u|/|m| and b = |v|/|m| below 1.

    A change of relative length a turns m by at most arcsin(a). The bound tends to 1 as the changes get small, whatever
    their directions.

    >>> round(least_direct_sim_am(0.5, 0.5), 2)
    0.5
    """
    return cos(asin(first) + asin(second))


def random_updates(
    states: Float[Tensor, "layers queries hidden"], relative_square: float, seed: int
) -> Float[Tensor, "layers queries hidden"]:
    """States plus Gaussian updates of relative squared length c, in expectation.

    >>> change = random_updates(torch.ones(1, 1, 10_000), 0.25, seed=0) - 1
    >>> round(change.square().mean().item(), 2)
    0.25
    """
    noise = torch.randn(states.shape, generator=torch.Generator().manual_seed(seed), dtype=states.dtype)
    lengths: Tensor = torch.linalg.vector_norm(states, dim=-1, keepdim=True)
    return states + noise * sqrt(relative_square / states.shape[-1]) * lengths
