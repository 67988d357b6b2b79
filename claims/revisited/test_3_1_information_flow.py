"""Revisited, section 3.1: where in the model the similarity lies, as the paper quotes it from Dai et al."""

from quantities import AOU_FT, LAST_QUARTER, LOWER_HALF, MIDDLE_HALF, UPPER_HALF, at

from icl_claims.claims import Claim, jointly
from icl_claims.evidence.questions import against_nulls, answered

DAI_FINAL_LAYERS = Claim(
    id="dai-final-layers",
    paper="revisited",
    where="section 3.1, information flow",
    statement="In-context learning and finetuning move attention outputs more alike in the final layers: in the upper "
    "half more than in the lower half, and in the last quarter more than in the middle half.",
)


@DAI_FINAL_LAYERS.decided_on("author_runs", "trials")
def test_similarity_is_higher_in_the_final_layers(evidence, decide):
    halves = evidence.compare(at(AOU_FT, UPPER_HALF), above=at(AOU_FT, LOWER_HALF))
    last = evidence.compare(at(AOU_FT, LAST_QUARTER), above=at(AOU_FT, MIDDLE_HALF))
    nulls = answered(evidence, *against_nulls(at(AOU_FT, UPPER_HALF)))
    decide(jointly(halves, last), beside=[halves, last, *nulls])
