"""Attention whose scores are a kernel: functional gradient descent, and the Gaussian process that it approaches.

Tokens are (x, y). A layer changes targets by y <- y - r K y, with K the kernel of the inputs of the demonstrations, and
answers by a <- a + r k(x, X) y. Squared loss throughout: 1/2 sum_j (y_j - f(x_j))^2, over the functions of the kernel.

Source: Cheng, Chen and Sra 2024, propositions 1 and 2, as reported; the expected errors are worked out here.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "points inputs"]
OtherPoints = Float[Tensor, "others inputs"]
KernelMatrix = Float[Tensor, "points others"]
Demonstrations = Float[Tensor, "demonstrations inputs"]
Targets = Float[Tensor, " demonstrations"]
Queries = Float[Tensor, "queries inputs"]
Answers = Float[Tensor, " queries"]
Kernel = Callable[[Tensor, Tensor], Tensor]
"""Gives k(x, z) for every x of the rows of one matrix and every z of those of another."""


def linear(left: Points, right: OtherPoints) -> KernelMatrix:
    """The kernel x^T z, with which a layer is linear attention.

    >>> linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])).item()
    11.0
    """
    return left @ right.mT


def quadratic(left: Points, right: OtherPoints) -> KernelMatrix:
    """The kernel (1 + x^T z)^2.

    >>> quadratic(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])).item()
    144.0
    """
    return (1 + left @ right.mT) ** 2


def exponential(left: Points, right: OtherPoints) -> KernelMatrix:
    """The kernel exp(x^T z), with which a layer is softmax attention without its denominator.

    >>> exponential(torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, -1.0]])).item()
    1.0
    """
    return (left @ right.mT).exp()


def gaussian(left: Points, right: OtherPoints) -> KernelMatrix:
    """The kernel exp(-|x - z|^2 / 2).

    >>> gaussian(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 2.0]])).item()
    1.0
    """
    differences: Tensor = left[:, None] - right[None]
    return (-differences.square().sum(-1) / 2).exp()


def attend(
    kernel: Kernel, inputs: Demonstrations, targets: Targets, queries: Queries, answers: Answers, rate: float
) -> tuple[Targets, Answers]:
    """What is left of the targets after a layer, y - r K y, and the answers, a + r k(x, X) y.

    Source: Cheng, Chen and Sra 2024, proposition 1, as reported.

    >>> x, y = torch.tensor([[2.0]]), torch.tensor([3.0])
    >>> [part.tolist() for part in attend(linear, x, y, torch.tensor([[1.0]]), torch.zeros(1), rate=0.125)]
    [[1.5], [0.75]]
    """
    learned = answers + rate * (kernel(queries, inputs) @ targets)
    return targets - rate * (kernel(inputs, inputs) @ targets), learned


def stack(
    kernel: Kernel, inputs: Demonstrations, targets: Targets, queries: Queries, rates: Sequence[float]
) -> tuple[Targets, Answers]:
    """What is left of the targets, and the answers, after a layer for each rate; answers start at 0.

    >>> x, y = torch.tensor([[2.0]]), torch.tensor([3.0])
    >>> [part.tolist() for part in stack(linear, x, y, torch.tensor([[1.0]]), [0.125, 0.25])]
    [[0.0], [1.5]]
    """
    answers = targets.new_zeros(len(queries))
    for rate in rates:
        targets, answers = attend(kernel, inputs, targets, queries, answers, rate)
    return targets, answers


def process_mean(kernel: Kernel, inputs: Demonstrations, targets: Targets, queries: Queries) -> Answers:
    """The mean at queries of a Gaussian process that takes the targets at the inputs: k(x, X) K^-1 y.

    Source: Cheng, Chen and Sra 2024, proposition 2, as reported.

    >>> process_mean(linear, torch.tensor([[2.0]]), torch.tensor([3.0]), torch.tensor([[1.0]])).item()
    1.5
    """
    answers: Tensor = kernel(queries, inputs) @ torch.linalg.solve(kernel(inputs, inputs), targets)
    return answers


def expected_error(
    process: Kernel, kernel: Kernel, inputs: Demonstrations, query: Float[Tensor, "1 inputs"]
) -> Float[Tensor, ""]:
    """The expected squared error at a query of `process_mean` with one kernel, where targets are drawn with another.

    With a = K^-1 k(X, x) of the kernel, and p the kernel of the process, it is
    p(x, x) - 2 a^T p(X, x) + a^T p(X, X) a.

    >>> expected_error(gaussian, gaussian, torch.zeros(1, 1), torch.zeros(1, 1)).item()
    0.0
    """
    weights = torch.linalg.solve(kernel(inputs, inputs), kernel(inputs, query))[:, 0]
    shared, spread = process(inputs, query)[:, 0], process(inputs, inputs)
    error: Tensor = process(query, query)[0, 0] - 2 * weights @ shared + weights @ spread @ weights
    return error
