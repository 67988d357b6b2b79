"""The change of a weight matrix that stands for a context: what a context does to one input, a rank-one update does.

A context changes what attention hands to the first matrix W of an MLP from A(x) to A(C, x). For one x, W A(C, x) is
also (W + dW) A(x), with many dW; for more inputs than A(x) has dimensions, in general with none.

Source: Dherin et al. 2025 (arXiv 2507.16003), theorem 2.2 and appendix B.2, as reported.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.errors import DataError

Weight = Float[Tensor, "outputs inputs"]
ReadBySeveral = Float[Tensor, "queries inputs"]


def rank_one_update(
    weight: Weight, without: Float[Tensor, " inputs"], with_context: Float[Tensor, " inputs"]
) -> Weight:
    """The update dW = (W dA) A(x)^T / |A(x)|^2, dA = A(C, x) - A(x), with which (W + dW) A(x) = W A(C, x).

    Args:
        weight: W.
        without: A(x), what the matrix reads without the context.
        with_context: A(C, x), what it reads with it.

    Raises:
        DataError: A(x) is 0, which no change of W can answer.

    Source: Dherin et al. 2025, theorem 2.2, as reported.

    >>> rank_one_update(torch.tensor([[3.0]]), torch.tensor([2.0]), torch.tensor([4.0])).item()  # (3 + 3) 2 = 3 * 4
    3.0
    """
    square = without @ without
    if not square > 0:
        todo = "Take an input that the matrix reads something of."
        raise DataError("An update stands for a context", expected="A(x) other than 0", got="0", todo=todo)
    return torch.outer(weight @ (with_context - without), without) / square


def static_update(weight: Weight, without: ReadBySeveral, with_context: ReadBySeveral) -> Weight:
    """The one D for all queries that leaves the least sum_q |(W + D) A(x_q) - W A(C, x_q)|^2, by least squares.

    Nothing is left for as many linearly independent A(x_q) as A has dimensions, and for more where dA is linear in A.

    Source: worked out here; Dherin et al. 2025 give an update for each query.

    >>> reads, reads_more = torch.tensor([[1.0], [1.0]]), torch.tensor([[2.0], [4.0]])
    >>> round(static_update(torch.tensor([[1.0]]), reads, reads_more).item(), 4)  # between 1 and 3
    2.0
    """
    change = (with_context - without) @ weight.mT
    solved: Tensor = torch.linalg.lstsq(without, change).solution
    return solved.mT
