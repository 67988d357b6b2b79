"""Rethinking, section 3.2 and table 2: attention after finetuning against attention after in-context learning."""

from icl_claims.claims import Claim, Quantity

FT_AOU_ABOVE_RANDOM = Claim(
    id="ft-aou-above-random",
    paper="rethinking",
    where="section 3.2, table 2",
    statement="In-context learning moves attention outputs in finetuning's direction more than in a random one.",
)

FT_AM_RISES = Claim(
    id="ft-am-rises",
    paper="rethinking",
    where="section 3.2, table 2",
    statement="In-context learning's attention scores are closer to a finetuned model's than to the model's before.",
)


@FT_AOU_ABOVE_RANDOM.decided_on("printed", "trials")
def test_attention_outputs_move_in_finetunings_direction(evidence, decide):
    decide(evidence.compare(Quantity("sim_aou", "finetuning"), above=Quantity("sim_aou", "random_update")))


@FT_AM_RISES.decided_on("printed", "trials")
def test_finetuning_brings_attention_scores_closer_to_icl(evidence, decide):
    decide(evidence.compare(Quantity("sim_am", "finetuning"), above=Quantity("sim_am", "zero_shot")))
