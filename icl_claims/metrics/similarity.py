"""SimAOU and SimAM: whether two methods move a layer's attention the same way."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from icl_claims.metrics.metric import RANDOM_UPDATE, Arguments, LayerMetric, Seen, metric, variant
from icl_claims.protocol import RandomBaseline

ROUNDING = 1e-4  # relative, of float32: scores are sums of products of keys that long contexts have turned
ROUNDINGS = 4  # of a coarser dtype, which its scores may be apart


def _outputs(found: Seen) -> Arguments:
    answers = {"in_context": found.reference, "other": found.answer, "zero_shot": found.zero_shot}
    return {whose: answer.attention_outputs for whose, answer in answers.items()}


def _random_outputs(found: Seen) -> Tensor:
    in_context, zero_shot = found.reference.attention_outputs, found.zero_shot.attention_outputs
    layers, _, hidden = in_context.shape
    drawn = uniform_updates(layers, hidden, found.queries, found.seed, in_context.device)
    return sim_aou_random(in_context, zero_shot, drawn, baseline=found.random_baseline)


@metric(
    LayerMetric,
    title="SimAOU",
    definition="Do demonstrations and finetuning move a layer's attention output h the same way? Mean over queries and "
    "layers. Because states are scaled to unit length, independent updates do not score 0: with an update of squared "
    "length c relative to the state, chance gives (1 \N{MINUS SIGN} 1/\N{SQUARE ROOT}(1 + c))/2, so each value is "
    "shown beside its nulls.",
    formula=r"\text{mean}\, \cos(h_\text{ICL} - h_\text{ZSL},\ h_\text{FT} - h_\text{ZSL})",
    source="Rethinking, section 3.2; first by Dai et al.",
    takes=_outputs,
    of_updates=True,
    baselines=((RANDOM_UPDATE, _random_outputs),),
)
def sim_aou(
    in_context: Float[Tensor, "layers queries hidden"],
    other: Float[Tensor, "layers queries hidden"],
    zero_shot: Float[Tensor, "layers queries hidden"],
    *,
    normalised: bool = True,
) -> Float[Tensor, "queries layers"]:
    """Similarity of attention output updates: cos(h_ICL - h_ZSL, h_other - h_ZSL).

    Args:
        in_context: attention outputs h with demonstrations in context.
        other: those of the method compared with it.
        zero_shot: those without any demonstration.
        normalised: whether each h is scaled to unit length first, as in the paper.

    Returns:
        The cosine, in [-1, 1], of every query and layer; 0 where an update is 0.

    Source: "Rethinking ...", section 3.2, SimAOU.
    """
    states = [h.float() for h in (in_context, other, zero_shot)]
    if normalised:
        states = [normalize(h, dim=-1) for h in states]
    return cosine_similarity(states[0] - states[2], states[1] - states[2], dim=-1).T


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
    in_context: Float[Tensor, "layers queries hidden"],
    zero_shot: Float[Tensor, "layers queries hidden"],
    drawn: Float[Tensor, "layers queries hidden"],
    *,
    baseline: RandomBaseline = "update",
) -> Float[Tensor, "queries layers"]:
    """SimAOU of a random update.

    Args:
        in_context: attention outputs with demonstrations in context.
        zero_shot: those without any demonstration.
        drawn: random vectors.
        baseline: whether `drawn` is the update, or a state from which h_ZSL is subtracted.

    Source: "Rethinking ...", section 3.2 (h_rand - h_ZSL); the authors' code uses the drawn vector as the update.
    """
    if baseline == "state":
        found: Tensor = sim_aou.values(in_context, drawn, zero_shot)
        return found
    update = normalize(in_context.float(), dim=-1) - normalize(zero_shot.float(), dim=-1)
    return cosine_similarity(update, drawn.float(), dim=-1).T


@metric(
    LayerMetric,
    title="SimAM",
    definition="Cosine of the attention scores m, mean over queries, layers and heads. SimAM of zero-shot puts the "
    "untouched model in the place of the finetuned one: a method comes closer to in-context learning where its SimAM "
    "is higher than that.",
    formula=r"\text{mean}\, \cos(m_\text{ICL},\ m_\text{FT})",
    source="Rethinking, section 3.2",
    takes=lambda found: {"in_context": found.reference.scores, "other": found.answer.scores},
    needs=frozenset({"scores"}),
)
def sim_am(
    in_context: Float[Tensor, "layers heads queries width"], other: Float[Tensor, "layers heads queries width"]
) -> Float[Tensor, "queries layers"]:
    """Similarity of attention maps, direct: cos(m_ICL, m_other) of each head, averaged over heads.

    The maps are pre-softmax scores of the probe position over the query's own tokens, zeros beyond a query's length.

    Returns:
        The mean cosine, in [-1, 1], of every query and layer.

    Source: "Rethinking ...", section 3.2, SimAM.
    """
    return cosine_similarity(in_context.float(), other.float(), dim=-1).mean(dim=1).T


@metric(
    LayerMetric,
    title="SimAM of updates",
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
def sim_am_update(
    in_context: Float[Tensor, "layers heads queries width"],
    other: Float[Tensor, "layers heads queries width"],
    zero_shot: Float[Tensor, "layers heads queries width"],
) -> Float[Tensor, "queries layers"]:
    """Similarity of the updates of attention maps: cos(m_ICL - m_ZSL, m_other - m_ZSL), averaged over heads.

    Returns:
        The mean cosine, in [-1, 1], of every query and layer; NaN where the demonstrations move no head's scores beyond
        rounding, as in the first layer of models with rotary positions: such an update has no direction.

    Source: the authors' later code; in no table of either paper.
    """
    rounding = max(ROUNDING, ROUNDINGS * torch.finfo(zero_shot.dtype).eps)
    by_context, by_other = in_context.float() - zero_shot.float(), other.float() - zero_shot.float()
    moved = by_context.norm(dim=-1) > rounding * zero_shot.float().norm(dim=-1)
    cosines = cosine_similarity(by_context, by_other, dim=-1).where(moved, torch.nan)
    return cosines.nanmean(dim=1).T


def uniform_updates(
    layers: int, hidden: int, queries: Sequence[int], seed: int, device: torch.device
) -> Float[Tensor, "layers queries hidden"]:
    """U[0,1) vectors, one stream a query, so that they do not depend on how queries are batched."""
    drawn = [np.random.default_rng((seed, query)).random((layers, hidden), dtype=np.float32) for query in queries]
    return torch.from_numpy(np.stack(drawn, axis=1)).to(device)
