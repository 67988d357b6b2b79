"""Revisited, abstract: what per-layer training is said to explain."""

from quantities import AM_FT, AM_LC, AM_UPDATE_FT, AM_UPDATE_LC, AOU_FT, AOU_LC, RPA

from icl_claims.claims import Claim, Quantity, jointly
from icl_claims.evidence.questions import Question, against_nulls, answered

LC_EXPLAINS_ICL_BETTER_B = Claim(
    id="lc-explains-icl-better-b",
    paper="revisited",
    where="abstract",
    statement="Per-layer training may be how in-context learning works: it is more like it than standard finetuning, "
    "in attention outputs, in attention scores and, where they were compared, in predictions.",
)


@LC_EXPLAINS_ICL_BETTER_B.decided_on("printed", "author_runs", "trials")
def test_per_layer_training_is_more_like_icl_on_every_metric(evidence, decide):
    outputs, scores = evidence.compare(AOU_LC, above=AOU_FT), evidence.compare(AM_LC, above=AM_FT)
    predictions = answered(evidence, Question(Quantity("rpa", "layer_causal"), above=RPA))
    by_updates = Question(AM_UPDATE_LC, above=AM_UPDATE_FT)
    nulls = (*against_nulls(AOU_LC), *against_nulls(AM_LC))
    apart = (outputs, scores, *predictions, *answered(evidence, by_updates, *nulls))
    decide(jointly(outputs, scores, *predictions), beside=apart)
