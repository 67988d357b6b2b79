"""GD++ with its own eta and gamma in every layer, chosen so that it converges quadratically.

The spectrum of X X^T lies in [m, M] before a layer. With eta / N = 1/M and gamma = 1/(3M), an eigenvalue l leaves
1 - l/M of the error, and becomes l (1 - l/(3M))^2, which rises up to M. So the ends stay ends: M becomes 4/9 M, and
r = m/M becomes

    r (3 - r)^2 / 4,

from about 9/4 r while r is small up to d = 1 - r -> (3 d^2 + d^3) / 4 <= d^2. After L layers the error is prod_l d_l or
less, and all of it in the direction of m.

Source: Vladymyrov et al. 2024, theorem 5.1, says how many layers there are; this choice and its count were worked out
here.
"""

from collections.abc import Iterator, Sequence
from math import ceil, log, log2

from torch import Tensor

from icl_claims.theory.linear_self_attention import LinearSelfAttention, construct_plus_plus


def layers(weights: Tensor, largest: float, demonstrations: int, count: int) -> Sequence[LinearSelfAttention]:
    """So many layers of GD++ from W0, for a spectrum of X X^T that ends at `largest`.

    >>> import torch
    >>> [layer.projection.diagonal().tolist() for layer in layers(torch.zeros(1, 1), 3.0, 1, count=1)]
    [[-0.1111111119389534, 0.3333333432674408]]
    """
    ends = [largest * (4 / 9) ** layer for layer in range(count)]
    return [construct_plus_plus(weights, demonstrations / end, 1 / (3 * end), demonstrations) for end in ends]


def errors(condition: float) -> Iterator[float]:
    """The largest part of the error that is left after 0, 1, 2, ... layers, for a spectrum of this condition number.

    >>> after = errors(2.0)
    >>> [round(next(after), 4) for _ in range(4)]
    [1.0, 0.5, 0.1094, 0.0042]
    """
    ratio, left = 1 / condition, 1.0
    while True:
        yield left
        left *= 1 - ratio
        ratio *= (3 - ratio) ** 2 / 4


def layers_needed(condition: float, error: float) -> int:
    """The least number of layers after which no more than `error` is left.

    >>> layers_needed(2.0, 0.11), layers_needed(2.0, 0.11**2)
    (2, 3)
    """
    return next(layer for layer, left in enumerate(errors(condition)) if left <= error)


def most_layers(condition: float, error: float) -> int:
    """A bound on how many layers are needed: log kappa / log(25/16) + log2(1 + log2(1/error)), each rounded up.

    While r is below 1/2 a layer multiplies it by (5/2)^2 / 4 or more, and from there on d is squared.

    >>> most_layers(2.0, 0.5**3)
    2
    """
    return max(0, ceil(log(condition / 2) / log(25 / 16))) + ceil(log2(1 + log2(1 / error)))


def steps_needed(condition: float, error: float) -> int:
    """The least number of steps of gradient descent with the best rate, each of which leaves (kappa - 1)/(kappa + 1).

    >>> steps_needed(3.0, 0.25)
    2
    """
    return ceil(log(error) / log((condition - 1) / (condition + 1)))
