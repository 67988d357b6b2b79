"""The claims that tables, logs or trials decide, asked of evidence that a test chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from icl_claims.claims import Claim, Verdict
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.evidence.deciding import verdict_on
from tests.quality.controls import claim_tests


@dataclass(frozen=True)
class DataClaim:
    """A claim's test, and one source that decides it."""

    claim: Claim
    source: str
    test: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.claim.id} on {self.source}"

    def decided_on(self, evidence: TaskEvidence) -> Verdict:
        """What the claim says of some evidence: by what it asks, or by its own test where it is no comparison."""
        return verdict_on(self.claim, evidence, self.test)


def data_claims(*sources: str) -> list[DataClaim]:
    """Every claim that one of these sources decides, once for each."""
    return [
        DataClaim(mark.args[0], source, test)
        for test, mark in claim_tests()
        for source in mark.kwargs["sources"]
        if source in sources
    ]
