"""The claims that tables, logs or trials decide, asked of evidence that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from icl_claims.claims import Claim, Comparison, NullVerdict, Verdict
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.evidence.verdicts import bound_by, tried_against_noise
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
        if self.claim.questions:
            first = self.claim.deciding
            assert first is not None
            nulls = tried_against_noise(self.claim.rule, evidence, [first], lambda ask: ask(first))
            found = self.claim.rule.decide(evidence.ask(first), evidence.answers(*self.claim.questions[1:]))
            return bound_by(nulls, found)
        decided: list[Verdict] = []

        def decide(
            found: Verdict | Comparison, *, beside: Sequence[Comparison] = (), nulls: Sequence[NullVerdict] = ()
        ) -> None:
            ruled = found if isinstance(found, Verdict) else self.claim.rule.decide(found, tuple(beside))
            decided.append(bound_by(nulls, ruled))

        self.test(evidence=evidence, decide=decide)
        (verdict,) = decided
        return verdict


def data_claims(*sources: str) -> list[DataClaim]:
    """Every claim that one of these sources decides, once for each."""
    return [
        DataClaim(mark.args[0], source, test)
        for test, mark in claim_tests()
        for source in mark.kwargs["sources"]
        if source in sources
    ]
