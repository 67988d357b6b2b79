"""SimAOU, SimAM and Kendall's tau: whether two methods move a layer's attention, and share it out, the same way."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from icl_claims.metrics.metric import DEMONSTRATION_LENGTHS, RANDOM_UPDATE, LayerMetric, Seen, metric, variant
from icl_claims.protocol import RandomBaseline

RESOLVED = 4.0
"""An update is told from rounding if it is longer than so many times the dtype's epsilon, relative to what it changes.

Measured on the models `tiny` and `embedded` against float32: rounding moves attention outputs by half an epsilon. One
value of SimAOU is off by .1 to .5 in bfloat16 where the shorter update is below one epsilon, by .05 to .1 from one to
two, by .02 to .09 from two to four, and by about .01 above that.
"""
TURNED = 1e-4
"""The same for scores that demonstrations move: the keys of a query lie further back in the context, where rotary
positions turn them by larger and thus coarser angles, in float32, too."""

Outputs = Float[Tensor, "layers queries hidden"]
AttentionMaps = Float[Tensor, "layers heads queries width"]
"""Pre-softmax scores of the probe position over the query's own tokens, zeros beyond a query's length."""
Shares = Float[np.ndarray, "layers queries demonstrations"]
Similarities = Float[Tensor, "queries layers"]


def _random_outputs(found: Seen) -> Tensor:
    in_context, zero_shot = found.reference.attention_outputs, found.zero_shot.attention_outputs
    layers, _, hidden = in_context.shape
    drawn = uniform_updates(layers, hidden, found.queries, found.seed, in_context.device)
    return sim_aou_random(in_context, zero_shot, drawn, baseline=found.random_baseline)


@metric(
    LayerMetric,
    title="SimAOU",
    bounds=(-1.0, 1.0),
    definition="Do demonstrations and finetuning move a layer's attention output h the same way? Mean over queries and "
    "layers. Because states are scaled to unit length, independent updates do not score 0: with an update of squared "
    "length c relative to the state, chance gives (1 \N{MINUS SIGN} 1/\N{SQUARE ROOT}(1 + c))/2, so each value is "
    "shown beside its nulls.",
    formula=r"\text{mean}\, \cos(h_\text{ICL} - h_\text{ZSL},\ h_\text{FT} - h_\text{ZSL})",
    source="Rethinking, section 3.2; first by Dai et al.",
    takes=lambda found: {
        "in_context": found.reference.attention_outputs,
        "other": found.answer.attention_outputs,
        "zero_shot": found.zero_shot.attention_outputs,
    },
    of_updates=True,
    baselines=((RANDOM_UPDATE, _random_outputs),),
)
def sim_aou(in_context: Outputs, other: Outputs, zero_shot: Outputs, *, normalised: bool = True) -> Similarities:
    """Similarity of attention output updates: cos(h_ICL - h_ZSL, h_other - h_ZSL).

    Args:
        in_context: attention outputs h with demonstrations in context.
        other: those of the method compared with it.
        zero_shot: those without any demonstration.
        normalised: whether each h is scaled to unit length first, as in the paper.

    Returns:
        The cosine, in [-1, 1], of every query and layer; NaN where an update is 0 or too small to be told from
        rounding in the dtype of h_ZSL, which has no direction.
    """
    states = [_wide(h) for h in (in_context, other, zero_shot)]
    if normalised:
        states = [normalize(h, dim=-1) for h in states]
    by_context, by_other = states[0] - states[2], states[1] - states[2]
    resolved = _resolved(by_context, states[2], zero_shot.dtype) & _resolved(by_other, states[2], zero_shot.dtype)
    return cosine_similarity(by_context, by_other, dim=-1).where(resolved, torch.nan).T


sim_aou_unnormalised = replace(
    variant(
        sim_aou,
        "sim_aou_unnormalised",
        "SimAOU without normalisation",
        "SimAOU of the attention outputs as they are, not scaled to unit length.",
        normalised=False,
    ),
    baselines=(),
    drawn_by_layer=False,
)


def sim_aou_random(
    in_context: Outputs, zero_shot: Outputs, drawn: Outputs, *, baseline: RandomBaseline = "update"
) -> Similarities:
    """SimAOU of a random update: the vectors drawn, or for the baseline `state` these minus h_ZSL.

    Source: "Rethinking ...", section 3.2 (h_rand - h_ZSL); the authors' code uses the drawn vector as the update.
    """
    if baseline == "state":
        found: Tensor = sim_aou.values(in_context, drawn, zero_shot)
        return found
    before = normalize(_wide(zero_shot), dim=-1)
    update = normalize(_wide(in_context), dim=-1) - before
    resolved = _resolved(update, before, zero_shot.dtype)
    return cosine_similarity(update, _wide(drawn), dim=-1).where(resolved, torch.nan).T


@metric(
    LayerMetric,
    title="SimAM",
    bounds=(-1.0, 1.0),
    definition="Cosine of the attention scores m, mean over queries, layers and heads. SimAM of zero-shot puts the "
    "untouched model in the place of the finetuned one: a method comes closer to in-context learning where its SimAM "
    "is higher than that.",
    formula=r"\text{mean}\, \cos(m_\text{ICL},\ m_\text{FT})",
    source="Rethinking, section 3.2",
    takes=lambda found: {"in_context": found.reference.scores, "other": found.answer.scores},
    needs=frozenset({"scores"}),
)
def sim_am(in_context: AttentionMaps, other: AttentionMaps) -> Similarities:
    """Similarity of attention maps, direct: cos(m_ICL, m_other) of each head, averaged over heads.

    Returns:
        The mean cosine, in [-1, 1], of every query and layer.
    """
    return cosine_similarity(_wide(in_context), _wide(other), dim=-1).mean(dim=1).T


@metric(
    LayerMetric,
    title="SimAM of updates",
    bounds=(-1.0, 1.0),
    definition="The same question asked of what changed; it does not depend on how large an update is.",
    formula=r"\text{mean}\, \cos(m_\text{ICL} - m_\text{ZSL},\ m_\text{FT} - m_\text{ZSL})",
    source="the authors' later code; in no table of either paper",
    takes=lambda found: {
        "in_context": found.reference.scores,
        "other": found.answer.scores,
        "zero_shot": found.zero_shot.scores,
    },
    needs=frozenset({"scores"}),
    of_updates=True,
)
def sim_am_update(in_context: AttentionMaps, other: AttentionMaps, zero_shot: AttentionMaps) -> Similarities:
    """Similarity of the updates of attention maps: cos(m_ICL - m_ZSL, m_other - m_ZSL), averaged over heads.

    Returns:
        The mean cosine, in [-1, 1], of every query and layer, over the heads whose scores both updates move beyond
        rounding. NaN where there is none, as in the first layer of models with rotary positions, in which the
        demonstrations move nothing.
    """
    before, dtype = _wide(zero_shot), zero_shot.dtype
    by_context, by_other = _wide(in_context) - before, _wide(other) - before
    moved = _resolved(by_context, before, dtype, least=TURNED) & _resolved(by_other, before, dtype)
    cosines = cosine_similarity(by_context, by_other, dim=-1).where(moved, torch.nan)
    return cosines.nanmean(dim=1).T


def _resolved(update: Tensor, before: Tensor, dtype: torch.dtype, *, least: float = 0.0) -> Tensor:
    """Whether what was computed in a dtype was moved further than by rounding, or than this share of what it was."""
    rounding = max(least, RESOLVED * torch.finfo(dtype).eps)
    moved: Tensor = update.norm(dim=-1) > rounding * before.norm(dim=-1)
    return moved


def uniform_updates(layers: int, hidden: int, queries: Sequence[int], seed: int, device: torch.device) -> Outputs:
    """U[0,1) vectors, one stream a query, so that they do not depend on how queries are batched."""
    drawn = [np.random.default_rng((seed, query)).random((layers, hidden), dtype=np.float32) for query in queries]
    return torch.from_numpy(np.stack(drawn, axis=1)).to(device)


def kendall_tau(
    left: Float[np.ndarray, "*rows items"], right: Float[np.ndarray, "*rows items"]
) -> Float[np.ndarray, "*rows"]:
    """Kendall's tau-b of the items of each row, the order in one array against that in the other.

    Larger numbers rank higher, equal ones are tied.

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


def random_attention(layers: int, demonstrations: int, queries: Sequence[int], seed: int) -> Shares:
    """Numbers without order, U[0,1), one stream a query, so that they do not depend on how queries are batched."""
    streams = (np.random.default_rng((seed, query, 2)) for query in queries)
    return np.stack([stream.random((layers, demonstrations)) for stream in streams], axis=1)


def _shares(attention: Tensor | None) -> Shares:
    assert attention is not None, "applies() was asked before"
    return np.asarray(attention.detach().cpu().double().numpy())


def _tau_of_random(found: Seen) -> Float[np.ndarray, "queries layers"]:
    in_context = _shares(found.reference.training_attention)
    layers, _, demonstrations = in_context.shape
    return kendall_tau(in_context, random_attention(layers, demonstrations, found.queries, found.seed)).T


def _tau_of_lengths(found: Seen) -> Float[np.ndarray, "queries layers"]:
    """A longer demonstration gets more attention from whatever attends."""
    in_context = _shares(found.reference.training_attention)
    return kendall_tau(in_context, np.broadcast_to(np.asarray(found.lengths, dtype=float), in_context.shape)).T


@metric(
    LayerMetric,
    title="Kendall's tau",
    bounds=(-1.0, 1.0),
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
def kendall(in_context: Shares, other: Shares) -> Float[np.ndarray, "queries layers"]:
    """Kendall's tau between two orders of the demonstrations, for every query and layer."""
    return kendall_tau(in_context, other).T


def _wide(h: Tensor) -> Tensor:
    """In float32 at least; float64 stays what it is."""
    return h.to(torch.promote_types(h.dtype, torch.float32))
