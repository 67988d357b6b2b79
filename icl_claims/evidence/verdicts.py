"""Whether what a claim says of a model is also true of noise: then the sentence holds, and says nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from icl_claims.claims import Comparison, NullVerdict, Rule, Verdict
from icl_claims.evidence.asking import NotHeldError, TaskEvidence
from icl_claims.evidence.noise import NOISES, Noise, is_similarity
from icl_claims.questions import Question

Ask = Callable[[Question], Comparison]
Exceeded = Literal["yes", "no", "undecided"]


def tried_against_noise(
    rule: Rule, evidence: TaskEvidence, questions: Sequence[Question], found: Callable[[Ask], Comparison]
) -> tuple[NullVerdict, ...]:
    """What the same rule says of every noise that can take the place of what a claim speaks of.

    Args:
        rule: What decides the claim.
        evidence: What is asked.
        questions: All that is asked.
        found: What the rule decides, from a function that answers questions.

    Returns:
        Nothing where the questions are about no similarity, or about a metric whatever the model, or the source has no
        noise.
    """
    asked = [quantity for question in questions if not question.any_model for quantity in question.quantities]
    if not evidence.plants_noise or not any(map(is_similarity, asked)):
        return ()
    tried = (_tried(rule, evidence, noise, found) for noise in NOISES)
    return tuple(one for one in tried if one is not None)


def _tried(rule: Rule, evidence: TaskEvidence, noise: Noise, found: Callable[[Ask], Comparison]) -> NullVerdict | None:
    def of_noise(question: Question) -> Comparison:
        null = noise.in_place_of(question)
        if null is None or not evidence.measures(null):
            raise NotHeldError(f"There is no {noise.title} in the place of what is asked", got=str(question))
        return evidence.ask(null)

    def beyond(question: Question) -> Comparison:
        contrast = evidence.beyond(question, noise)
        if contrast is None:
            raise NotHeldError(f"There is no {noise.title} in the place of what is asked", got=str(question))
        return contrast

    try:
        said, contrast = rule.decide(found(of_noise)), rule.decide(found(beyond))
    except NotHeldError:
        return None
    words: dict[str, Exceeded] = {"supported": "yes", "refuted": "no"}
    return NullVerdict(noise.title, said.word, words.get(contrast.word, "undecided"), said.why)


def bound_by(nulls: Sequence[NullVerdict], verdict: Verdict) -> Verdict:
    """The verdict, in which noise has its say.

    A sentence that holds is vacuous where it holds of noise as well, by the same rule. It is supported only where what
    it speaks of goes beyond every noise, by the same rule again.
    """
    verdict = replace(verdict, nulls=tuple(nulls))
    passed = [null.name for null in nulls if null.word == "supported"]
    short = [null.name for null in nulls if null.exceeded != "yes"]
    if verdict.word != "supported" or not (passed or short):
        return verdict
    if passed:
        why, change = f"{verdict.why} So does {', and '.join(passed)}.", ""
        return replace(verdict, word="vacuous", why=why, would_change=change)
    why = f"{verdict.why} That it goes beyond {', and '.join(short)} is not shown."
    change = f"It would be supported if more draws showed that it goes beyond {', and '.join(short)}."
    return replace(verdict, word="inconclusive", why=why, would_change=change)
