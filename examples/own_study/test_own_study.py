"""A study of one's own: a task, a method and a metric that the package does not know, an exact claim and one on trials."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from icl_claims import Finetuning, Paper, at_least, nulls_of, sim_aou
from icl_claims.claims import Asked, Decide
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.methods import GaussianUpdate

from .methods import Adam
from .metrics import cka, linear_cka

note = Paper("own", "A study of one's own")
ADAM, FT = Adam(), Finetuning()


@note.claim("cka-invariant", where="section 1", on="exact")
def test_cka_does_not_see_rotations_or_scales(evidence: ExactEvidence, decide: Decide) -> None:
    """Linear CKA is the same after a rotation and a change of scale of either side."""

    @given(st.integers(0, 2**16), st.floats(0.1, 10))
    def rotated_and_scaled(seed: int, scale: float) -> None:
        x, y, rotation = np.random.default_rng(seed).normal(size=(3, 5, 5))
        turned = scale * y @ np.linalg.qr(rotation)[0]
        evidence.equal(linear_cka(x, turned), linear_cka(x, y), "CKA(X, s Y Q) = CKA(X, Y)")

    decide(evidence.every(rotated_and_scaled))


@note.claim("adam-like-icl", where="section 2", rule=at_least(1, of=1), on="trials")
def test_adam_moves_outputs_as_icl_does() -> Asked:
    """On Topics, finetuning with Adam moves attention outputs more as in-context learning does, by linear CKA, than a
    random update of the same length would.
    """
    than_noise = cka(ADAM) > cka(GaussianUpdate(ADAM))
    beside = (*nulls_of(cka(ADAM)), cka(ADAM) > cka(FT), sim_aou(ADAM) > sim_aou(FT), *nulls_of(sim_aou(ADAM)))
    return tuple(question.on("topics") for question in (than_noise, *beside))
