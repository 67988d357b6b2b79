"""How a query's attention is shared out among the demonstrations, and whether two methods order these alike."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.metrics.metric import DEMONSTRATION_LENGTHS, RANDOM_UPDATE, LayerMetric, Seen, metric


def kendall_tau(
    left: Float[np.ndarray, "*rows items"], right: Float[np.ndarray, "*rows items"]
) -> Float[np.ndarray, "*rows"]:
    """Kendall's tau-b of the items of each row, the order in one array against that in the other.

    Args:
        left: a number for each item; larger ones rank higher, equal ones are tied.
        right: the other numbers of the same items.

    Returns:
        The correlation of each row, in [-1, 1]; NaN if all items of a row are tied on one side, or one is NaN.

    Source: Kendall 1945 (tau-b); `scipy.stats.kendalltau` for one row at a time.

    >>> kendall_tau(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 3.0, 2.0]])).round(2).tolist()
    [0.33]
    """
    agree, pairs_left, pairs_right = (np.zeros(left.shape[:-1]) for _ in range(3))
    for apart in range(1, left.shape[-1]):
        a, b = (np.sign(values[..., apart:] - values[..., :-apart]) for values in (left, right))
        agree += (a * b).sum(axis=-1)
        pairs_left += (a * a).sum(axis=-1)
        pairs_right += (b * b).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(agree / np.sqrt(pairs_left * pairs_right))


def shares_of_demonstrations(
    scores: Float[Tensor, "heads queries tokens"], lengths: Sequence[int]
) -> Float[Tensor, "queries demonstrations"]:
    """The share of attention that each demonstration gets: softmax over all tokens, in single precision or finer.

    Returns:
        The sum over a demonstration's tokens, averaged over heads; over demonstrations it is 1.

    Source: Dai et al. 2023, attention to training tokens; their code adds up the scores of all heads, then takes the
        softmax.
    """
    attention = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).mean(0)
    return torch.stack([tokens.sum(-1) for tokens in torch.split(attention, list(lengths), -1)], -1)


def random_attention(
    layers: int, demonstrations: int, queries: Sequence[int], seed: int
) -> Float[np.ndarray, "layers queries demonstrations"]:
    """Numbers without order, U[0,1), one stream a query, so that they do not depend on how queries are batched."""
    streams = (np.random.default_rng((seed, query, 2)) for query in queries)
    return np.stack([stream.random((layers, demonstrations)) for stream in streams], axis=1)


def _shares(attention: Tensor | None) -> Float[np.ndarray, "layers queries demonstrations"]:
    assert attention is not None, "applies() was asked before"
    return np.asarray(attention.detach().cpu().double().numpy())


def _tau_of_random(found: Seen) -> Float[np.ndarray, "queries layers"]:
    in_context = _shares(found.reference.training_attention)
    layers, _, demonstrations = in_context.shape
    return np.asarray(kendall.values(in_context, random_attention(layers, demonstrations, found.queries, found.seed)))


def _tau_of_lengths(found: Seen) -> Float[np.ndarray, "queries layers"]:
    """A longer demonstration gets more attention from whatever attends."""
    in_context = _shares(found.reference.training_attention)
    return np.asarray(
        kendall.values(in_context, np.broadcast_to(np.asarray(found.lengths, dtype=float), in_context.shape))
    )


@metric(
    LayerMetric,
    title="Kendall's tau",
    definition="Rank correlation of the attention that in-context learning gives to the demonstrations with the "
    "attention that the method gives to them.",
    source="Dai et al. 2023, attention to training tokens",
    takes=lambda found: {
        "in_context": _shares(found.reference.training_attention),
        "other": _shares(found.answer.training_attention),
    },
    needs=frozenset({"shares"}),
    drawn_by_layer=False,
    baselines=((RANDOM_UPDATE, _tau_of_random), (DEMONSTRATION_LENGTHS, _tau_of_lengths)),
)
def kendall(
    in_context: Float[np.ndarray, "layers queries demonstrations"],
    other: Float[np.ndarray, "layers queries demonstrations"],
) -> Float[np.ndarray, "queries layers"]:
    """Kendall's tau between two orders of the demonstrations, for every query and layer."""
    return np.asarray(kendall_tau(in_context, other).T)
