"""A claim decided on evidence: what it asks is answered, noise has its say, and its rule turns it into a word."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from icl_claims.claims import Claim, Comparison, NullVerdict, Verdict
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.evidence.verdicts import bound_by, tried_against_noise


def asked_of(claim: Claim, evidence: TaskEvidence) -> tuple[Comparison, dict[str, Any]]:
    """What evidence says to a claim's question; and by name, what is shown `beside` it, and what `nulls` say."""
    decides = claim.deciding
    assert decides is not None, "a claim that asks nothing has a test that decides it"
    nulls = tried_against_noise(claim.rule, evidence, [decides], lambda ask: ask(decides))
    return evidence.ask(decides), {"beside": evidence.answers(*claim.questions[1:]), "nulls": nulls}


def verdict_on(claim: Claim, evidence: TaskEvidence, test: Callable[..., Any]) -> Verdict:
    """What a claim says of evidence: by what it asks, or by its own test where it is no comparison."""
    decided: list[Verdict] = []

    def decide(
        found: Verdict | Comparison, *, beside: Iterable[Comparison] = (), nulls: Sequence[NullVerdict] = ()
    ) -> None:
        ruled = found if isinstance(found, Verdict) else claim.rule.decide(found, tuple(beside))
        decided.append(bound_by(nulls, ruled))

    if claim.questions:
        found, more = asked_of(claim, evidence)
        decide(found, **more)
    else:
        test(evidence=evidence, decide=decide)
    (verdict,) = decided
    return verdict
