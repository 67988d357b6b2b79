"""Attention to demonstrations as a change of weights: exact without softmax, and only then."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory.dual_form import linear_attention


@dataclass(frozen=True, eq=False)
class Head:
    """The value and key projections of one attention head, W_V and W_K."""

    to_values: Float[Tensor, "inner width"]
    to_keys: Float[Tensor, "inner width"]


def linear_head(
    head: Head, tokens: Float[Tensor, "tokens width"], query: Float[Tensor, " inner"]
) -> Float[Tensor, " inner"]:
    """W_V X (W_K X)^T q: the output of a head without softmax and scale for a query that sees these tokens.

    Source: "Rethinking ...", section 2.2, equation 3.

    >>> linear_head(Head(2 * torch.eye(1), 3 * torch.eye(1)), torch.ones(2, 1), torch.ones(1)).tolist()
    [12.0]
    """
    return linear_attention(tokens @ head.to_values.T, tokens @ head.to_keys.T, query)


def softmax_head(
    head: Head, tokens: Float[Tensor, "tokens width"], query: Float[Tensor, " inner"]
) -> Float[Tensor, " inner"]:
    """W_V X softmax((W_K X)^T q / sqrt(inner)): the attention that transformers run.

    Source: "Rethinking ...", section 2.2, which equation 3 simplifies.

    >>> softmax_head(Head(2 * torch.eye(1), 3 * torch.eye(1)), torch.ones(2, 1), torch.ones(1)).tolist()
    [2.0]
    """
    return attention_weights(head, tokens, query) @ (tokens @ head.to_values.T)


def attention_weights(
    head: Head, tokens: Float[Tensor, "tokens width"], query: Float[Tensor, " inner"]
) -> Float[Tensor, " tokens"]:
    """The softmax of the scaled scores, which couples every token with every other.

    >>> attention_weights(Head(2 * torch.eye(1), 3 * torch.eye(1)), torch.ones(2, 1), torch.ones(1)).tolist()
    [0.5, 0.5]
    """
    return torch.softmax((tokens @ head.to_keys.T) @ query / query.shape[0] ** 0.5, dim=0)


def zero_shot_weights(head: Head, tokens: Float[Tensor, "tokens width"]) -> Float[Tensor, "inner inner"]:
    """W_ZSL = W_V X (W_K X)^T: attention to the query's own tokens, as the weights of a linear layer.

    Source: "Rethinking ...", section 2.2, between equations 3 and 4.

    >>> zero_shot_weights(Head(2 * torch.eye(1), 3 * torch.eye(1)), torch.ones(1, 1)).tolist()
    [[6.0]]
    """
    return (tokens @ head.to_values.T).T @ (tokens @ head.to_keys.T)


def in_context_update(head: Head, demonstrations: Float[Tensor, "shown width"]) -> Float[Tensor, "inner inner"]:
    """Delta W_ICL = sum_i W_V x'_i (W_K x'_i)^T: keys as training examples, values as their meta-gradients.

    Source: "Rethinking ...", section 2.2, equation 4.

    >>> in_context_update(Head(2 * torch.eye(1), 3 * torch.eye(1)), torch.ones(2, 1)).tolist()
    [[12.0]]
    """
    values, keys = demonstrations @ head.to_values.T, demonstrations @ head.to_keys.T
    return torch.einsum("nv,nk->vk", values, keys)


def dual_form(
    head: Head,
    demonstrations: Float[Tensor, "shown width"],
    tokens: Float[Tensor, "tokens width"],
    query: Float[Tensor, " inner"],
) -> Float[Tensor, " inner"]:
    """(W_ZSL + Delta W_ICL) q: attention to [X'; X] as a linear layer after an update.

    Source: "Rethinking ...", section 2.2, equation 4.

    >>> head, shown, own, query = Head(torch.eye(1), torch.eye(1)), torch.ones(2, 1), torch.ones(1, 1), torch.ones(1)
    >>> dual_form(head, shown, own, query).item(), linear_head(head, torch.cat([shown, own]), query).item()
    (3.0, 3.0)
    """
    return (zero_shot_weights(head, tokens) + in_context_update(head, demonstrations)) @ query
