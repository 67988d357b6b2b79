"""Attention with ReLU scores, and the two heads with which it takes a step of gradient descent.

Source: Bai et al. 2023, Transformers as statisticians, constructions with ReLU attention, as reported.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory import linear_self_attention
from icl_claims.theory.linear_self_attention import DemonstrationTokens, LinearSelfAttention, Tokens


def attend(heads: Sequence[LinearSelfAttention], demonstrations: DemonstrationTokens, tokens: Tokens) -> Tokens:
    """Every token plus, for each head, P V relu(K^T q).

    >>> head = LinearSelfAttention(*[torch.eye(1)] * 4)
    >>> attend([head], torch.tensor([[2.0]]), torch.tensor([[3.0], [-3.0]])).flatten().tolist()
    [15.0, -3.0]
    """
    for_each_head = [_read(head, demonstrations, tokens) for head in heads]
    return tokens + torch.stack(for_each_head).sum(0) if for_each_head else tokens


def construct(weights: Float[Tensor, "outputs inputs"], rate: float, demonstrations: int) -> list[LinearSelfAttention]:
    """Two heads that take one gradient step from W0: scores of opposite sign, and values of opposite sign.

    Source: relu(t) - relu(-t) = t, and the linear layer of von Oswald et al. 2023, proposition 1.

    >>> heads = construct(torch.zeros(1, 1), rate=0.5, demonstrations=1)
    >>> attend(heads, torch.tensor([[1.0, 2.0]]), torch.tensor([[-3.0, 0.0]])).tolist()
    [[-3.0, 3.0]]
    """
    linear = linear_self_attention.construct(weights, rate, demonstrations)
    return [linear, replace(linear, query=-linear.query, projection=-linear.projection)]


def _read(head: LinearSelfAttention, demonstrations: Tensor, tokens: Tensor) -> Tensor:
    scores = (tokens @ head.query.mT) @ (demonstrations @ head.key.mT).mT
    return scores.relu() @ (demonstrations @ head.value.mT) @ head.projection.mT
