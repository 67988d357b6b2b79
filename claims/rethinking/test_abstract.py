"""Rethinking, abstract: what finetuning on a linear approximation of the model is said to achieve."""

from quantities import (
    AM_FT,
    AM_LINEAR,
    AM_UPDATE_FT,
    AM_UPDATE_LINEAR,
    AOU_FT,
    AOU_LINEAR,
    COMPARABLE,
    GENERALLY_OF_FOUR,
    LINEARIZED_TASKS,
)

from icl_claims.claims import Claim, jointly
from icl_claims.evidence.questions import Question, against_nulls, answered

LIN_COMPARABLE = Claim(
    id="lin-comparable",
    paper="rethinking",
    where="abstract",
    statement="Finetuning on a linear approximation of the model is as similar to in-context learning as standard "
    "finetuning, give or take a tenth, in attention outputs and in attention scores.",
    rule=GENERALLY_OF_FOUR,
)


@LIN_COMPARABLE.decided_on("printed", "trials")
def test_linearised_finetuning_is_as_similar_as_standard_finetuning(evidence, decide):
    outputs = evidence.equivalent(AOU_LINEAR, AOU_FT, within=COMPARABLE, tasks=LINEARIZED_TASKS)
    scores = evidence.equivalent(AM_LINEAR, AM_FT, within=COMPARABLE, tasks=LINEARIZED_TASKS)
    by_updates = Question(AM_UPDATE_LINEAR, below=AM_UPDATE_FT, tasks=LINEARIZED_TASKS)
    nulls = (*against_nulls(AOU_LINEAR), *against_nulls(AM_LINEAR))
    decide(jointly(outputs, scores), beside=[outputs, scores, *answered(evidence, by_updates, *nulls)])
