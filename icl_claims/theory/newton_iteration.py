"""Newton's iteration for the inverse of a matrix, the weights it gives, and the powers of the matrix in them.

Source: Fu et al. 2024, sections 3.1 and 5; Schulz 1933 for the iteration.
"""

from collections.abc import Sequence
from math import comb

import torch
from jaxtyping import Float
from torch import Tensor

Gram = Float[Tensor, "inputs inputs"]


def inverse(gram: Gram, start: Gram, iterations: int) -> Gram:
    """M_k of M_{k+1} = 2 M_k - M_k S M_k, which tends to the inverse of S from a start that is small enough.

    With a start that commutes with S, I - S M_k = (I - S M_0)^(2^k): every iteration squares what is missing.

    Source: Fu et al. 2024, section 3.1.

    >>> inverse(torch.tensor([[2.0]]), torch.tensor([[0.25]]), iterations=2).item()  # (1 - (1/2)^4) / 2
    0.46875
    """
    for _ in range(iterations):
        start = 2 * start - start @ gram @ start
    return start


def coefficients(iterations: int) -> list[int]:
    """The numbers c_j, j from 1 to 2^k, of M_k = sum_j c_j a^j S^(2j - 1) when M_0 = a S.

    They are (-1)^(j + 1) times the binomial coefficients of 2^k, so the highest power of S is 2^(k + 1) - 1.

    Source: worked out here from I - S M_k = (I - a S^2)^(2^k); Fu et al. 2024, section 5, print others.

    >>> coefficients(1), coefficients(2)
    ([2, -1], [4, -6, 4, -1])
    """
    steps = 2**iterations
    return [(-1) ** (power + 1) * comb(steps, power) for power in range(1, steps + 1)]


def odd_powers(gram: Gram, scale: float, coefficients: Sequence[int]) -> Gram:
    """The sum of c_j a^j S^(2j - 1) over coefficients c_1, c_2, ...

    >>> odd_powers(torch.tensor([[2.0]]), scale=0.5, coefficients=[1, -1]).item()  # 1/2 * 2 - 1/4 * 8
    -1.0
    """
    total, power = torch.zeros_like(gram), scale * gram
    for coefficient in coefficients:
        total, power = total + coefficient * power, scale * power @ gram @ gram
    return total
