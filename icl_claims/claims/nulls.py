"""The nulls of a similarity: what it would be if it meant nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from icl_claims.questions import Compared, Quantity

if TYPE_CHECKING:
    from icl_claims.claims.comparison import Comparison

UNTRAINED = "embeddings_norms_head"


def nulls_of(similarity: Quantity, but: Quantity | None = None) -> tuple[Compared, ...]:
    """Whether a similarity exceeds what chance gives, by every null that we have.

    The nulls are what the metric itself calls chance (for SimAOU the papers' random update), a Gaussian update as long
    as the method's own, the method's update for another query, and the method on a model with random blocks.

    >>> from icl_claims import LayerCausal, sim_am
    >>> for question in nulls_of(sim_am(LayerCausal())):
    ...     print(question.right)
    SimAM of a Gaussian update as long as that of layer-causal finetuning
    SimAM of another query's update by layer-causal finetuning

    Args:
        similarity: A metric of a method that learns weights.
        but: A null that is left out, because the claim itself asks about it.

    Source: the random update is that of "Rethinking ...", section 3.2; an untrained model is the control of Deutch et
        al. 2024; the other two are ours.
    """
    from icl_claims.experiments.studies import STUDIES
    from icl_claims.methods import nulls_of_method

    chance = [baseline for baseline, _ in getattr(similarity.metric, "baselines", ())]
    learner: object = similarity.method
    nulls = (*chance, *nulls_of_method(learner))  # type: ignore[arg-type]  # what claims ask of is a method
    others = [replace(similarity, method=null) for null in nulls]
    untrained = similarity.of_weights(UNTRAINED)
    if similarity.weights != UNTRAINED and any(study.measures(untrained) for study in STUDIES.values()):
        others.append(untrained)
    return tuple(similarity > other for other in others if other != but)


def is_null(comparison: Comparison, other: Comparison) -> bool:
    """Whether a comparison holds the same quantity against one of its nulls."""
    if comparison.left is None or other.left != comparison.left or not isinstance(other.right, Quantity):
        return False
    return (other.left > other.right) in nulls_of(comparison.left)
