"""A layer that copies the next token by its position.

Source: von Oswald et al. 2023, proposition 3 and appendix A.5.
"""

from math import exp

import torch
from jaxtyping import Float
from torch import Tensor

Positions = Float[Tensor, "tokens width"]
AttentionWeights = Float[Tensor, "readers tokens"]


def scores(positions: Positions) -> AttentionWeights:
    """p_{j+1}^T p_i for every token but the last: keys are the tokens' positions, queries those of the next token.

    Of orthonormal positions it is 1 at the next token and 0 elsewhere.

    >>> scores(torch.eye(3)).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return positions[1:] @ positions.mT


def attention_weights(positions: Positions, scale: float) -> AttentionWeights:
    """Softmax of the scaled scores over all tokens.

    >>> attention_weights(torch.eye(2), 0.0).tolist()
    [[0.5, 0.5]]
    """
    return torch.softmax(scale * scores(positions), dim=-1)


def weight_of_the_next(tokens: int, scale: float) -> float:
    """e^beta / (e^beta + L - 1): the softmax weight of the next of L tokens, if positions are orthonormal.

    What it lacks to 1 is at most (L - 1) e^-beta.

    >>> round(weight_of_the_next(4, 1.0), 2), round(weight_of_the_next(20, 1.0), 3)
    (0.48, 0.125)
    """
    return exp(scale) / (exp(scale) + tokens - 1)
