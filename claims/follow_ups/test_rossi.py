"""Rossi et al. 2024, a blog post that repeats experiments of von Oswald et al. 2023, and disagrees on one number."""

from __future__ import annotations

from icl_claims.claims import Decide, rossi
from icl_claims.evidence.exact import ExactEvidence

from .damping import FALLS_IN_EVERY_SAMPLE, repeated_with


@rossi.claim(
    "damping-70-descends", where='"If one layer is a GD step", damping', rule=FALLS_IN_EVERY_SAMPLE, on="exact"
)
def test_with_damping_70_the_loss_falls(evidence: ExactEvidence, decide: Decide) -> None:
    """Repeated 50 times with a damping of .70, the layer of one best step lowers the mean loss with every repeat."""
    decide(repeated_with(0.70))
