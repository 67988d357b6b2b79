"""Dai et al. 2023: the results that both papers start from. Their momentum attention needs pretraining: left out."""

from quantities import (
    ACCURACY_BEFORE,
    ACCURACY_FT,
    ACCURACY_ICL,
    AM_FT,
    AOU_FT,
    LOWER_HALF,
    LOWER_LAYERS,
    REC2FTP,
    UPPER_HALF,
    UPPER_LAYERS,
    at,
)

from icl_claims.claims import Claim, Quantity, TaskRule, jointly
from icl_claims.evidence.questions import Question, against_nulls, answered

ICL_AND_FT_BEAT_ZSL = Claim(
    id="icl-and-ft-beat-zsl",
    paper="dai",
    where="table of validation accuracies",
    statement="Both in-context learning and finetuning are more accurate than zero-shot.",
)

REC2FTP_ABOVE_85 = Claim(
    id="rec2ftp-above-85",
    paper="dai",
    where="table of Rec2FTP",
    statement="On average over tasks, in-context learning answers right more than 85 % of the queries that finetuning "
    "corrects.",
    rule=TaskRule(at_least=1, overall=True),
)

KENDALL_TRAINING_TOKENS = Claim(
    id="kendall-training-tokens",
    paper="dai",
    where="table of Kendall rank correlations",
    statement="In-context learning and finetuning rank the demonstrations by the attention that they give to them more "
    "alike than chance would have it.",
)
KENDALL_BEFORE, KENDALL_FT, KENDALL_LC, KENDALL_RANDOM, KENDALL_LENGTHS = (
    Quantity("kendall", method)
    for method in ("zero_shot", "finetuning", "layer_causal", "random_update", "demonstration_lengths")
)

LATER_LAYERS_MORE_SIMILAR = Claim(
    id="later-layers-more-similar",
    paper="dai",
    where="figure of SimAOU by layer",
    statement="In-context learning and finetuning move attention outputs more alike in later layers than in earlier "
    "ones.",
)


@ICL_AND_FT_BEAT_ZSL.decided_on("printed", "trials")
def test_icl_and_finetuning_are_more_accurate_than_zero_shot(evidence, decide):
    in_context = evidence.compare(ACCURACY_ICL, above=ACCURACY_BEFORE)
    finetuned = evidence.compare(ACCURACY_FT, above=ACCURACY_BEFORE)
    decide(jointly(in_context, finetuned), beside=[in_context, finetuned])


@REC2FTP_ABOVE_85.decided_on("printed", "author_runs", "trials")
def test_icl_recalls_most_corrections_of_finetuning_on_average(evidence, decide):
    decide(evidence.compare(REC2FTP, above=0.85))


@KENDALL_TRAINING_TOKENS.decided_on("trials")
def test_icl_and_finetuning_attend_to_demonstrations_in_a_like_order(evidence, decide):
    untuned = Question(KENDALL_FT, above=KENDALL_BEFORE), Question(KENDALL_BEFORE, above=KENDALL_RANDOM)
    by_length = Question(KENDALL_FT, above=KENDALL_LENGTHS)
    layer_causal = Question(KENDALL_LC, above=KENDALL_RANDOM)
    like_order = evidence.compare(KENDALL_FT, above=KENDALL_RANDOM)
    decide(like_order, beside=answered(evidence, *untuned, by_length, layer_causal))


@LATER_LAYERS_MORE_SIMILAR.decided_on("author_runs", "trials")
def test_later_layers_are_more_similar(evidence, decide):
    thirds = Question(at(AOU_FT, UPPER_LAYERS), above=at(AOU_FT, LOWER_LAYERS))
    attention_scores = Question(at(AM_FT, UPPER_HALF), above=at(AM_FT, LOWER_HALF))
    later = evidence.compare(at(AOU_FT, UPPER_HALF), above=at(AOU_FT, LOWER_HALF))
    nulls = against_nulls(at(AOU_FT, UPPER_HALF))
    decide(later, beside=answered(evidence, thirds, attention_scores, *nulls))
