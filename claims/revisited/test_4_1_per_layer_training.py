"""Revisited, section 4.1, table 1 and figure 2: per-layer training against standard finetuning."""

from quantities import (
    AM_BEFORE,
    AM_FT,
    AM_LC,
    AM_UPDATE_FT,
    AM_UPDATE_LC,
    AOU_FT,
    AOU_LC,
    LC_OVER_FT,
    LC_OVER_FT_AT_FIRST,
    LOWER_LAYERS,
    UPPER_LAYERS,
    at,
)

from icl_claims.claims import ON_MOST_TASKS, Claim, TaskRule, jointly
from icl_claims.evidence.questions import Question, against_nulls, answered

LC_AOU_HIGHER_B = Claim(
    id="lc-aou-higher-b",
    paper="revisited",
    where="section 4.1, table 1",
    statement="On average, and on all tasks but one at most, attention outputs move more in in-context learning's "
    "direction in per-layer training than in standard finetuning.",
    rule=TaskRule(at_least=5, overall=True),
)

LC_AM_BELOW_ZSL = Claim(
    id="lc-am-below-zsl",
    paper="revisited",
    where="section 4.1, table 1",
    statement="On most tasks, per-layer training leaves attention scores further from in-context learning's than they "
    "were before any training.",
    rule=ON_MOST_TASKS,
)

GRAD_NORM_B = Claim(
    id="grad-norm-b",
    paper="revisited",
    where="section 4.1, figure 2",
    statement="Gradients of the lower attention layers are larger in per-layer training than in standard finetuning, "
    "and the ratio falls with depth.",
)


@LC_AOU_HIGHER_B.decided_on("printed", "author_runs", "trials")
def test_per_layer_training_moves_attention_outputs_more_as_icl_does(evidence, decide):
    decide(evidence.compare(AOU_LC, above=AOU_FT), beside=answered(evidence, *against_nulls(AOU_LC)))


@LC_AM_BELOW_ZSL.decided_on("printed", "author_runs", "trials")
def test_per_layer_training_takes_attention_scores_away_from_icl(evidence, decide):
    below_standard = Question(AM_LC, below=AM_FT)
    by_updates = Question(AM_UPDATE_LC, below=AM_UPDATE_FT)
    beside = answered(evidence, below_standard, by_updates, *against_nulls(AM_LC))
    decide(evidence.compare(AM_LC, below=AM_BEFORE), beside=beside)


@GRAD_NORM_B.decided_on("trials")
def test_gradients_of_per_layer_training_are_larger(evidence, decide):
    lower, upper = at(LC_OVER_FT_AT_FIRST, LOWER_LAYERS), at(LC_OVER_FT_AT_FIRST, UPPER_LAYERS)
    larger, falls_with_depth = evidence.compare(lower, above=0.0), evidence.compare(lower, above=upper)
    everywhere = Question(LC_OVER_FT_AT_FIRST, above=0.0), Question(LC_OVER_FT, above=0.0)
    decide(jointly(larger, falls_with_depth), beside=[larger, falls_with_depth, *answered(evidence, *everywhere)])
