"""Revisited, section 3.1: where in the model the similarity lies, as the paper quotes it from Dai et al."""

from quantities import AOU_FT, LAST_QUARTER, LOWER_HALF, MIDDLE_HALF, UPPER_HALF, at

from icl_claims.claims import Claim
from icl_claims.evidence.questions import Question, against_nulls, answered

DAI_FINAL_LAYERS = Claim(
    id="dai-final-layers",
    paper="revisited",
    where="section 3.1, information flow",
    statement="In-context learning and finetuning move attention outputs more alike in the upper half of the layers "
    "than in the lower half.",
)


@DAI_FINAL_LAYERS.decided_on("author_runs", "trials")
def test_similarity_is_higher_in_the_final_layers(evidence, decide):
    last_against_middle = Question(at(AOU_FT, LAST_QUARTER), above=at(AOU_FT, MIDDLE_HALF))
    higher = evidence.compare(at(AOU_FT, UPPER_HALF), above=at(AOU_FT, LOWER_HALF))
    decide(higher, beside=answered(evidence, last_against_middle, *against_nulls(at(AOU_FT, UPPER_HALF))))
