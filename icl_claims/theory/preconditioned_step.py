"""Linear self-attention that takes a preconditioned gradient step from W0 = 0, and can correct its inputs at once.

Tokens are (x_j, y_j), a query (x, 0), and answers are minus the last entry, as in `linear_self_attention`.

Source: Ahn et al. 2023, section 2 and theorems 3 and 4; Zhang, Frei and Bartlett 2024, theorem 4.1.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory.linear_self_attention import LinearSelfAttention, Square, from_products

SquareOfInputs = Float[Tensor, "inputs inputs"]


def construct(
    preconditioner: SquareOfInputs, demonstrations: int, correction: SquareOfInputs | None = None
) -> LinearSelfAttention:
    """The layer y_j <- y_j - 1/n sum_i y_i x_i^T A x_j and x_j <- x_j - 1/n B sum_i x_i x_i^T A x_j.

    Its products are P W_V = -1/n [[B, 0], [0, 1]] and W_K^T W_Q = [[A, 0], [0, 0]]. A is the preconditioner and B the
    correction, 0 if there is none; n is the number of demonstrations.

    Source: Ahn et al. 2023, section 2 (P and Q of one output) and theorems 3 and 4.

    >>> from icl_claims.theory.linear_self_attention import answers, attend_linearly
    >>> layer, shown = construct(torch.tensor([[0.5]]), demonstrations=1), torch.tensor([[1.0, 2.0]])
    >>> answers(attend_linearly(layer, shown, torch.tensor([[3.0, 0.0]])), inputs=1).item()  # 3 * 0.5 * (1 * 2)
    3.0
    """
    nothing = torch.zeros_like(preconditioner)
    values = -_with_last(nothing if correction is None else correction, 1.0) / max(demonstrations, 1)
    return from_products(values, _with_last(preconditioner, 0.0))


def _with_last(block: SquareOfInputs, last: float) -> Square:
    inputs = len(block)
    corner = torch.diag(block.new_tensor([0.0] * inputs + [last]))
    return torch.nn.functional.pad(block, (0, 1, 0, 1)) + corner
