"""Rethinking, section 6: what the paper concludes."""

from quantities import AM_FT, AM_LC, AM_UPDATE_FT, AM_UPDATE_LC, AOU_FT, AOU_LC, RPA

from icl_claims.claims import Claim, Quantity, TaskRule, jointly
from icl_claims.evidence.questions import Question, against_nulls, answered

ICL_FT_MISALIGNED = Claim(
    id="icl-ft-misaligned",
    paper="rethinking",
    where="section 6",
    statement="Predictions of in-context learning and finetuning are misaligned: overall, and on most tasks, they "
    "share fewer than half of their changes.",
    rule=TaskRule(at_least=4, overall=True),
)

LC_EXPLAINS_ICL_BETTER = Claim(
    id="lc-explains-icl-better",
    paper="rethinking",
    where="section 6",
    statement="Layer-causal finetuning is more like in-context learning than standard finetuning is: in attention "
    "outputs, in attention scores and, where they were compared, in predictions.",
)


@ICL_FT_MISALIGNED.decided_on("printed", "author_runs", "trials")
def test_icl_and_finetuning_are_misaligned_overall(evidence, decide):
    decide(evidence.compare(RPA, below=0.5))


@LC_EXPLAINS_ICL_BETTER.decided_on("printed", "author_runs", "trials")
def test_layer_causal_finetuning_is_more_like_icl_on_every_metric(evidence, decide):
    outputs, scores = evidence.compare(AOU_LC, above=AOU_FT), evidence.compare(AM_LC, above=AM_FT)
    predictions = answered(evidence, Question(Quantity("rpa", "layer_causal"), above=RPA))
    by_updates = Question(AM_UPDATE_LC, above=AM_UPDATE_FT)
    nulls = (*against_nulls(AOU_LC), *against_nulls(AM_LC))
    apart = (outputs, scores, *predictions, *answered(evidence, by_updates, *nulls))
    decide(jointly(outputs, scores, *predictions), beside=apart)
