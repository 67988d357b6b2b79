"""Rethinking, section 1: what the paper sets out to show about predictions."""

from icl_claims.claims import ON_MOST_TASKS, Asked, rethinking
from icl_claims.metrics import rpa

from ..quantities import FT


@rethinking.claim("ft-icl-differ", where="section 1", rule=ON_MOST_TASKS, on="printed author_runs trials")
def test_icl_and_finetuning_predict_differently() -> Asked:
    """On most tasks, in-context learning and finetuning share fewer than half of their prediction changes."""
    return rpa(FT) < 0.5
