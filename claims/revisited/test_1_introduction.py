"""Revisited, section 1: the three experiments that the paper announces.

It reports two of them. The third, false labels, has no result in the paper; what it would have shown is decided here.
"""

from icl_claims.claims import Asked, nulls_of, revisited
from icl_claims.methods import SwitchedLabels
from icl_claims.metrics import accuracy, sim_am, sim_am_update, sim_aou

from ..quantities import COMPARABLE, FT, GENERALLY_OF_FOUR, ICL, LINEAR, LINEARIZED_TASKS


@revisited.claim("basic-linear-suffices", where="section 1", rule=GENERALLY_OF_FOUR, on="printed trials")
def test_a_linear_model_is_as_similar_as_the_whole_one() -> Asked:
    """Extensive finetuning is not required: a linear model of the original hidden states is as similar to in-context
    learning, give or take a tenth, in attention outputs and in attention scores.
    """
    outputs = sim_aou(LINEAR).near(sim_aou(FT), within=COMPARABLE)
    scores = sim_am(LINEAR).near(sim_am(FT), within=COMPARABLE)
    return (outputs & scores).on(*LINEARIZED_TASKS), *nulls_of(sim_aou(LINEAR)), *nulls_of(sim_am(LINEAR))


@revisited.claim("label-switch", where="section 1, label switching", on="trials")
def test_false_labels_lower_the_similarity() -> Asked:
    """In-context learning and finetuning are more similar when both are given true labels than when both are given
    false ones.
    """
    false_ft, false_icl = SwitchedLabels(FT, "cyclic"), SwitchedLabels(ICL, "cyclic")
    random_ft, random_icl = SwitchedLabels(FT, "random"), SwitchedLabels(ICL, "random")
    return (
        sim_aou(FT) > sim_aou(false_ft, false_icl),
        sim_aou(FT) > sim_aou(random_ft, random_icl),
        sim_am_update(FT) > sim_am_update(false_ft, false_icl),
        sim_aou(FT) > sim_aou(FT, false_icl),
        sim_aou(false_ft, false_icl) > sim_aou(false_ft),
        accuracy(ICL) > accuracy(false_icl),
        accuracy(FT) > accuracy(false_ft),
        *nulls_of(sim_aou(FT)),
    )
