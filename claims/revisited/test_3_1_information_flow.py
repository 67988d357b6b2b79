"""Revisited, section 3.1: where in the model the similarity lies, as the paper quotes it from Dai et al."""

from icl_claims.claims import Asked, nulls_of, revisited
from icl_claims.metrics import sim_aou

from ..quantities import FT, LAST_QUARTER, LOWER_HALF, MIDDLE_HALF, UPPER_HALF


@revisited.claim("dai-final-layers", where="section 3.1, information flow", on="author_runs trials")
def test_similarity_is_higher_in_the_final_layers() -> Asked:
    """In-context learning and finetuning move attention outputs more alike in the final layers: in the upper half more
    than in the lower half, and in the last quarter more than in the middle half.
    """
    similarity = sim_aou(FT)
    halves = similarity.at(UPPER_HALF) > similarity.at(LOWER_HALF)
    last = similarity.at(LAST_QUARTER) > similarity.at(MIDDLE_HALF)
    return halves & last, *nulls_of(similarity.at(UPPER_HALF))
