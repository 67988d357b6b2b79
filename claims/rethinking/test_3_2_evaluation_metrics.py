"""Rethinking, section 3.2 and table 2: attention after finetuning against attention after in-context learning."""

from quantities import AM_BEFORE, AM_FT, AM_UPDATE_FT, AOU_FT, AOU_RANDOM, untrained

from icl_claims.claims import Claim, Quantity, jointly
from icl_claims.evidence.questions import Question, against_nulls, answered

NEAR_ZERO = 0.005

FT_AOU_ABOVE_RANDOM = Claim(
    id="ft-aou-above-random",
    paper="rethinking",
    where="section 3.2, table 2",
    statement="In-context learning moves attention outputs in finetuning's direction more than in a random one.",
)

RANDOM_NEAR_ZERO = Claim(
    id="random-near-zero",
    paper="rethinking",
    where="section 3.2, table 2",
    statement="The baseline of SimAOU, random updates of attention outputs, scores no more than .005 in size.",
)

FT_AM_RISES = Claim(
    id="ft-am-rises",
    paper="rethinking",
    where="section 3.2, table 2",
    statement="In-context learning's attention scores are closer to a finetuned model's than to the model's before.",
)


@FT_AOU_ABOVE_RANDOM.decided_on("printed", "author_runs", "trials")
def test_attention_outputs_move_in_finetunings_direction(evidence, decide):
    other_nulls = against_nulls(AOU_FT, but=AOU_RANDOM)
    decide(evidence.compare(AOU_FT, above=AOU_RANDOM), beside=answered(evidence, *other_nulls))


@RANDOM_NEAR_ZERO.decided_on("printed", "author_runs", "trials")
def test_random_updates_score_next_to_nothing(evidence, decide):
    near_zero = jointly(
        evidence.compare(AOU_RANDOM, below=NEAR_ZERO),
        evidence.compare(AOU_RANDOM, above=-NEAR_ZERO),
    )
    as_long_as_finetunings = Question(Quantity("sim_aou", "gaussian_of_finetuning"), below=NEAR_ZERO)
    for_another_query = Question(Quantity("sim_aou", "other_query_of_finetuning"), below=NEAR_ZERO)
    decide(near_zero, beside=answered(evidence, as_long_as_finetunings, for_another_query))


@FT_AM_RISES.decided_on("printed", "author_runs", "trials")
def test_finetuning_brings_attention_scores_closer_to_icl(evidence, decide):
    without_training = Question(untrained(AM_FT), above=untrained(AM_BEFORE))
    nulls = (*against_nulls(AM_FT), *against_nulls(AM_UPDATE_FT))
    decide(evidence.compare(AM_FT, above=AM_BEFORE), beside=answered(evidence, without_training, *nulls))
