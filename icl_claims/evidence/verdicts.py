"""The verdict of a claim on evidence about tasks: what its rule says, and whether it would say the same of noise."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from icl_claims.claims import Claim, Comparison, NullVerdict, Rule, TaskRule, Verdict
from icl_claims.evidence.asking import NotHeldError, TaskEvidence
from icl_claims.evidence.noise import NOISES, Noise, is_similarity
from icl_claims.questions import Question

EXCEEDED = {"supported": "yes", "refuted": "no"}


def asked(claim: Claim, evidence: TaskEvidence) -> tuple[Comparison, tuple[Comparison, ...]]:
    """What a source says to the question that decides a claim, and to the others that it asks."""
    decides = claim.deciding
    assert decides is not None
    return evidence.ask(decides), evidence.answers(*claim.questions[1:])


def tried_against_noise(rule: Rule, question: Question, evidence: TaskEvidence) -> tuple[NullVerdict, ...]:
    """What the same rule says of every noise that can take the place of what a claim speaks of.

    Empty where the question is about no similarity, or about a metric whatever the model, or the source has no noise.
    """
    if not evidence.plants_noise or question.any_model or not any(map(is_similarity, question.quantities)):
        return ()
    found = (_tried(rule, question, evidence, noise) for noise in NOISES)
    return tuple(one for one in found if one is not None)


def _tried(rule: Rule, question: Question, evidence: TaskEvidence, noise: Noise) -> NullVerdict | None:
    null = noise.in_place_of(question)
    if null is None or not evidence.measures(null):
        return None
    try:
        of_noise, beyond = rule.decide(evidence.ask(null)), evidence.beyond(question, noise)
    except NotHeldError:
        return None
    exceeded = "undecided" if beyond is None else EXCEEDED.get(rule.decide(beyond).word, "undecided")
    return NullVerdict(noise.title, of_noise.word, exceeded, of_noise.why)  # type: ignore[arg-type]


def bound_by_nulls(verdict: Verdict, nulls: Sequence[NullVerdict]) -> Verdict:
    """The verdict, in which noise has its say.

    A sentence that holds is vacuous where it holds of noise as well. It is supported only where what it speaks of goes
    beyond every noise, by the same rule.
    """
    verdict = replace(verdict, nulls=tuple(nulls))
    if verdict.word != "supported" or not nulls:
        return verdict
    passed = [null.name for null in nulls if null.word == "supported"]
    if passed:
        return replace(verdict, word="vacuous", why=f"{verdict.why} So it does of {', and of '.join(passed)}.")
    short = [null.name for null in nulls if null.exceeded != "yes"]
    if short:
        why = f"{verdict.why} Whether it goes beyond {', and '.join(short)} is not decided."
        return replace(verdict, word="inconclusive", why=why, would_change=_until_beyond(short))
    return verdict


def _until_beyond(short: Sequence[str]) -> str:
    return f"It would be supported if more draws showed that it goes beyond {', and '.join(short)}."


def verdict_of(claim: Claim, evidence: TaskEvidence) -> Verdict:
    """The verdict of a claim that asks a question."""
    comparison, beside = asked(claim, evidence)
    decides = claim.deciding
    assert decides is not None
    verdict = claim.rule.decide(comparison, beside)
    return bound_by_nulls(verdict, tried_against_noise(claim.rule, decides, evidence))


Found = Callable[[TaskEvidence], Comparison]
"""How what decides a claim is found of evidence, where it is more than a question."""
__all__ = ["asked", "bound_by_nulls", "tried_against_noise", "verdict_of", "TaskRule"]
