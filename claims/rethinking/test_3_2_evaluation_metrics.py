"""Rethinking, section 3.2 and table 2: attention after finetuning against attention after in-context learning."""

from icl_claims.claims import Asked, nulls_of, rethinking
from icl_claims.methods import AnotherQuerysUpdate, GaussianUpdate
from icl_claims.metrics import RANDOM_UPDATE, sim_am, sim_am_update, sim_aou

from ..quantities import FT, ZSL

NEAR_ZERO = 0.005


@rethinking.claim("ft-aou-above-random", where="section 3.2, table 2", on="printed author_runs trials")
def test_attention_outputs_move_in_finetunings_direction() -> Asked:
    """In-context learning moves attention outputs in finetuning's direction more than in a random one."""
    return sim_aou(FT) > sim_aou(RANDOM_UPDATE), *nulls_of(sim_aou(FT), but=sim_aou(RANDOM_UPDATE))


@rethinking.claim("random-near-zero", where="section 3.2, table 2", on="printed author_runs trials")
def test_random_updates_score_next_to_nothing() -> Asked:
    """The baseline of SimAOU, random updates of attention outputs, scores no more than .005 in size."""
    return (
        ((sim_aou(RANDOM_UPDATE) < NEAR_ZERO) & (sim_aou(RANDOM_UPDATE) > -NEAR_ZERO)).of_any_model,
        sim_aou(GaussianUpdate(FT)) < NEAR_ZERO,
        sim_aou(AnotherQuerysUpdate(FT)) < NEAR_ZERO,
    )


@rethinking.claim("ft-am-rises", where="section 3.2, table 2", on="printed author_runs trials")
def test_finetuning_brings_attention_scores_closer_to_icl() -> Asked:
    """In-context learning's attention scores are closer to a finetuned model's than to the model's before."""
    untrained = "embeddings_norms_head"
    return (
        sim_am(FT) > sim_am(ZSL),
        sim_am(FT).of_weights(untrained) > sim_am(ZSL).of_weights(untrained),
        *nulls_of(sim_am(FT)),
        *nulls_of(sim_am_update(FT)),
    )
