"""Rethinking, abstract: what finetuning on a linear approximation of the model is said to achieve."""

from icl_claims.claims import Asked, nulls_of, rethinking
from icl_claims.metrics import sim_am, sim_am_update, sim_aou

from ..quantities import COMPARABLE, FT, GENERALLY_OF_FOUR, LINEAR, LINEARIZED_TASKS


@rethinking.claim("lin-comparable", where="abstract", rule=GENERALLY_OF_FOUR, on="printed trials")
def test_linearised_finetuning_is_as_similar_as_standard() -> Asked:
    """Finetuning on a linear approximation of the model is as similar to in-context learning as standard finetuning,
    give or take a tenth, in attention outputs and in attention scores.
    """
    outputs = sim_aou(LINEAR).near(sim_aou(FT), within=COMPARABLE)
    scores = sim_am(LINEAR).near(sim_am(FT), within=COMPARABLE)
    return (
        (outputs & scores).on(*LINEARIZED_TASKS),
        (sim_am_update(LINEAR) < sim_am_update(FT)).on(*LINEARIZED_TASKS),
        *nulls_of(sim_aou(LINEAR)),
        *nulls_of(sim_am(LINEAR)),
    )
