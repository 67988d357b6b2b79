"""Linear attention that learns a sequence s_{t+1} = W s_t as it reads it.

Tokens are augmented by their predecessor: e_t = (0, s_t, s_{t-1}), with room for the prediction, and 0 before the first
state.

Source: Sander et al. 2024, abstract, on augmented tokens; von Oswald et al. 2023 (mesa-optimization), as reported.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory.linear_self_attention import LinearSelfAttention, attend_linearly

States = Float[Tensor, "tokens width"]


def augmented_tokens(states: States) -> Float[Tensor, "tokens three_times_the_width"]:
    """Tokens (0, s_t, s_{t-1}).

    >>> augmented_tokens(torch.tensor([[1.0], [2.0]])).tolist()
    [[0.0, 1.0, 0.0], [0.0, 2.0, 1.0]]
    """
    before = torch.cat([torch.zeros_like(states[:1]), states[:-1]])
    return torch.cat([torch.zeros_like(states), states, before], dim=1)


def construct(width: int, rate: float) -> LinearSelfAttention:
    """The layer with keys s_{t-1}, values s_t and queries s_t, which writes r times what it reads into the first slot.

    >>> construct(1, rate=0.5).projection.tolist()
    [[0.5], [0.0], [0.0]]
    """
    nothing, identity = torch.zeros(width, width).double(), torch.eye(width).double()
    now, before = (torch.cat(parts, dim=1) for parts in ([nothing, identity, nothing], [nothing, nothing, identity]))
    return LinearSelfAttention(key=before, query=now, value=now, projection=rate * _first_slot(width))


def predictions(states: States, rate: float) -> States:
    """What the layer says at every token t of the next one: r sum_{s <= t} s_s s_{s-1}^T s_t.

    >>> predictions(torch.tensor([[1.0], [2.0], [4.0]]).double(), rate=0.5).flatten().tolist()
    [0.0, 2.0, 20.0]
    """
    tokens, width = augmented_tokens(states), states.shape[1]
    layer = construct(width, rate)
    read = [attend_linearly(layer, tokens[: t + 1], tokens[t : t + 1])[:, :width] for t in range(len(states))]
    return torch.cat(read) if read else states


def _first_slot(width: int) -> Tensor:
    return torch.eye(3 * width).double()[:, :width]
