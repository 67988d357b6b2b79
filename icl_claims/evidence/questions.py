"""Questions beside the one that decides a claim: asked of a source where it can speak, left out where it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from icl_claims.claims import Comparison, Finding, Quantity
from icl_claims.errors import ClaimError
from icl_claims.tasks.catalogue import PAPERS_TASKS

if TYPE_CHECKING:
    from icl_claims.evidence.comparison import Side, TaskEvidence

LEARNED_UNTRAINED = ("finetuning",)
"""The methods that the untrained studies run."""


@dataclass(frozen=True)
class Question:
    """A comparison that a source is asked for if it can speak about it.

    Args:
        left: the quantity in question.
        above: what it might exceed.
        below: what it might stay under.
        equal_to: what it might equal, give or take `within`.
        within: allowed difference, as a share of the other quantity.
        tasks: that the question is about.
    """

    left: Quantity
    above: Side | None = None
    below: Side | None = None
    equal_to: Quantity | None = None
    within: float = 0.0
    tasks: Sequence[str] = PAPERS_TASKS


def answered(evidence: TaskEvidence, *questions: Question) -> tuple[Comparison, ...]:
    """What a source says to the questions that it can speak about.

    Args:
        evidence: the source.
        questions: those for which it holds nothing on any task are left out.
    """
    return tuple(found for question in questions if (found := _answer(evidence, question)) is not None)


def against_nulls(similarity: Quantity, but: Quantity | None = None) -> tuple[Question, ...]:
    """Whether a similarity exceeds what chance gives, by every null that we have.

    The nulls are the papers' random update (of attention outputs only), a Gaussian update as long as the method's own,
    the method's update for another query, and the method on a model with random blocks.

    Args:
        similarity: SimAOU or SimAM of finetuning, layer-causal or linearised finetuning.
        but: a null that is left out, because the claim itself asks about it.

    Source: the random update is that of "Rethinking ...", section 3.2; an untrained model is the control of Deutch et
        al. 2024; the other two are ours.
    """
    nulls = ["random_update"] if similarity.metric == "sim_aou" else []
    nulls += [f"{null}_of_{similarity.method}" for null in ("gaussian", "other_query")]
    others = [replace(similarity, method=null) for null in nulls]
    if similarity.method in LEARNED_UNTRAINED and similarity.study == "main":
        others.append(replace(similarity, study="untrained"))
    return tuple(Question(similarity, above=other) for other in others if other != but)


def with_null_band(comparison: Comparison, beside: Sequence[Comparison]) -> Comparison:
    """The comparison, with where its difference would lie if the update meant nothing, by the controls beside it."""
    nulls = [other for other in beside if _is_null(comparison, other)]
    by_task = [{finding.task: finding.right for finding in null.findings} for null in nulls]

    def with_band(finding: Finding) -> Finding:
        values = [right for null in by_task if (right := null.get(finding.task)) is not None]
        if not values or finding.right is None:
            return finding
        return replace(finding, null_low=min(values) - finding.right, null_high=max(values) - finding.right)

    return replace(comparison, findings=tuple(map(with_band, comparison.findings)))


def _is_null(comparison: Comparison, other: Comparison) -> bool:
    """Whether a comparison holds the same quantity against one of the controls of `against_nulls`."""
    if comparison.left is None or other.left != comparison.left or not isinstance(other.right, Quantity):
        return False
    return Question(other.left, above=other.right) in against_nulls(comparison.left)


def _asked(evidence: TaskEvidence, question: Question) -> Comparison:
    if question.equal_to is not None:
        return evidence.equivalent(question.left, question.equal_to, within=question.within, tasks=question.tasks)
    return evidence.compare(question.left, above=question.above, below=question.below, tasks=question.tasks)


def _answer(evidence: TaskEvidence, question: Question) -> Comparison | None:
    try:
        found = _asked(evidence, question)
    except ClaimError:  # a source raises it for what it nowhere holds
        return None
    return None if all(finding.outcome == "absent" for finding in found.tasks) else found
