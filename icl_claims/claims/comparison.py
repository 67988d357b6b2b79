"""What every task says to a question, and what the nulls of a similarity say."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from icl_claims.errors import ClaimError
from icl_claims.questions import Compared, Quantity, Side

Outcome = Literal["holds", "fails", "unclear", "absent"]
OPPOSITE: dict[Outcome, Outcome] = {"holds": "fails", "fails": "holds", "unclear": "unclear", "absent": "absent"}
EVERY_TASK = "all tasks"
_DECIDES = {"fails": "fails by", "absent": "no evidence for", "unclear": "undecided by"}
UNTRAINED = "embeddings_norms_head"
"""What the untrained model of the same shape keeps: random blocks between trained embeddings and head."""


@dataclass(frozen=True)
class Finding:
    """What one task says to a question.

    Args:
        task: Its name, or `EVERY_TASK` for the mean over tasks.
        outcome: Whether the claim holds there, fails, cannot be decided, or has no evidence.
        left: The quantity that the claim is about, compared with `right`; `difference` is left - right.
        low: Lower bound of the difference; with `high`, what the outcome was read from.
        replicates: How many draws of demonstrations the difference rests on; 0 for a printed number.
        queries: How many queries, over all of them.
        interval_kind: What kind of interval it is: a confidence sequence, Student's, a binomial one, or rounding.
        p_holds: How improbable it is at most that one sees as much in favour of the claim where it does not hold; None
            where that is not known. It decides.
        p_fails: The same of what speaks against it.
        note: Why the outcome is unclear or absent.
        needed: About how many draws would decide an unclear outcome, if the difference is as it seems.
        detectable: The smallest difference that so many draws would find in four of five repetitions.
        printed: The difference between the paper's own numbers, where it prints both.
        null_low: Where the difference would lie if the method's update meant nothing; with `null_high`, the range over
            all nulls.
        predicted_low: Where one more draw of demonstrations would put `left`, with `predicted_high`.
    """

    task: str
    outcome: Outcome
    left: float | None = None
    right: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    replicates: int = 0
    queries: int = 0
    interval_kind: str = ""
    p_holds: float | None = None
    p_fails: float | None = None
    note: str = ""
    needed: int | None = None
    detectable: float | None = None
    printed: float | None = None
    null_low: float | None = None
    null_high: float | None = None
    predicted_low: float | None = None
    predicted_high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What every task says to one question, and all of them together.

    Args:
        question: The question in print, such as "SimAOU of layer-causal finetuning above SimAOU of finetuning".
        findings: One per task, and one for `EVERY_TASK` where a mean over tasks makes sense.
        upwards: Whether the claim wants the difference above 0; None if it wants neither side.
        left: The quantity that the claim is about, compared with `right`.
        parts: The comparisons that a joint question is made of.
    """

    question: str
    findings: tuple[Finding, ...]
    upwards: bool | None = True
    left: Quantity | None = None
    right: Side | None = None
    parts: tuple["Comparison", ...] = ()

    @property
    def tasks(self) -> tuple[Finding, ...]:
        """The findings of single tasks."""
        return tuple(finding for finding in self.findings if finding.task != EVERY_TASK)

    @property
    def together(self) -> Finding | None:
        """The finding over all tasks, if there is one."""
        return next((finding for finding in self.findings if finding.task == EVERY_TASK), None)

    def differences(self) -> tuple[float, ...]:
        """The difference on every task that has one, positive where it favours the claim."""
        sign = -1.0 if self.upwards is False else 1.0
        return tuple(sign * found.difference for found in self.tasks if found.difference is not None)

    def in_favour(self) -> int:
        """On how many tasks the plain numbers favour the claim, whatever their intervals."""
        return sum(difference > 0 for difference in self.differences())


def jointly(comparisons: Sequence[Comparison]) -> Comparison:
    """Several comparisons at once: a task holds where all hold, and fails where one fails.

    The numbers shown are those of the first; what the others say stands in the notes. They favour neither side, since
    the first alone does not decide.
    """
    first = comparisons[0]
    questions = [comparison.question for comparison in comparisons]
    findings = tuple(_together([c.findings[i] for c in comparisons], questions) for i in range(len(first.findings)))
    return replace(first, question=" and ".join(questions), findings=findings, upwards=None, parts=tuple(comparisons))


def denied(comparison: Comparison) -> Comparison:
    """The opposite of what was asked."""
    findings = (
        replace(found, outcome=OPPOSITE[found.outcome], p_holds=found.p_fails, p_fails=found.p_holds)
        for found in comparison.findings
    )
    return replace(comparison, question=f"not: {comparison.question}", findings=tuple(findings))


def _together(same_task: Sequence[Finding], questions: Sequence[str]) -> Finding:
    """What a task says to several questions; what holds is as sure as the least sure, one that fails is one of many."""
    outcomes = [finding.outcome for finding in same_task]
    outcome: Outcome = next((o for o in ("fails", "absent", "unclear") if o in outcomes), "holds")
    notes = [finding.note for finding in same_task if finding.note]
    if len(set(outcomes)) > 1:
        deciding = (question for question, other in zip(questions, outcomes, strict=True) if other == outcome)
        notes.append(f"{_DECIDES[outcome]}: {'; '.join(deciding)}")
    undecided = [finding.needed for finding in same_task if finding.outcome == "unclear"]
    needed = max((n for n in undecided if n is not None), default=None) if outcome == "unclear" else None
    holds, fails = ([getattr(one, p) for one in same_task] for p in ("p_holds", "p_fails"))
    told = [p for p in fails if p is not None]
    return replace(
        same_task[0],
        outcome=outcome,
        note="; ".join(dict.fromkeys(notes)),
        needed=None if None in undecided else needed,
        p_holds=None if None in holds else max(holds),
        p_fails=min(1.0, min(told) * len(same_task)) if told else None,
    )


def nulls_of(similarity: Quantity, but: Quantity | None = None) -> tuple[Compared, ...]:
    """Whether a similarity exceeds what chance gives, by every null that we have.

    The nulls are what the metric itself calls chance (for SimAOU the papers' random update), a Gaussian update as long
    as the method's own, the method's update for another query, and the method on a model with random blocks.

    >>> from icl_claims import LayerCausal, sim_am
    >>> for question in nulls_of(sim_am(LayerCausal())):
    ...     print(question.right)
    SimAM of a Gaussian update as long as that of layer-causal finetuning
    SimAM of another query's update by layer-causal finetuning
    SimAM of layer-causal finetuning (untrained: keeps embeddings_norms_head)

    Args:
        similarity: A metric of a method that learns weights.
        but: A null that is left out, because the claim itself asks about it.

    Raises:
        ClaimError: It is no comparison of updates, or no null takes the place of this method's.

    Source: the random update is that of "Rethinking ...", section 3.2; an untrained model is the control of Deutch et
        al. 2024; the other two are ours.
    """
    from icl_claims.methods import Method, nulls_of_method, variant_of

    method = similarity.method
    compares = getattr(similarity.metric, "compares", False) and not getattr(similarity.metric, "of_answers", False)
    if not compares or not isinstance(method, Method) or not nulls_of_method(method):
        original = variant_of(method) if isinstance(method, Method) else None
        todo = "Leave `nulls_of` out." if original is None else f"Ask for those of {original.title}, or leave it out."
        wanted = "a similarity of a method that changes weights, shown the demonstrations as they are"
        raise ClaimError("There are no nulls", expected=wanted, got=similarity.title, todo=todo)
    return tuple(similarity > other for other in _nulls(similarity) if other != but)


def _nulls(similarity: Quantity) -> list[Quantity]:
    """What chance gives in the place of a similarity, as far as the metric and the method have such a thing."""
    from icl_claims.experiments.studies import STUDIES
    from icl_claims.methods import Method, nulls_of_method

    chance = [baseline for baseline, _ in getattr(similarity.metric, "baselines", ())]
    of_method = nulls_of_method(similarity.method) if isinstance(similarity.method, Method) else ()
    others = [replace(similarity, method=null) for null in (*chance, *of_method)]
    untrained = similarity.of_weights(UNTRAINED)
    if similarity.weights != UNTRAINED and any(study.measures(untrained) for study in STUDIES.values()):
        others.append(untrained)
    return others


def with_null_band(comparison: Comparison, beside: Sequence[Comparison]) -> Comparison:
    """The comparison, with where its difference would lie if the update meant nothing, by the nulls among others."""

    def is_null(other: Comparison) -> bool:
        if comparison.left is None or other.left != comparison.left or not isinstance(other.right, Quantity):
            return False
        return other.right in _nulls(comparison.left)

    by_task = [{finding.task: finding.right for finding in null.findings} for null in filter(is_null, beside)]

    def with_band(finding: Finding) -> Finding:
        values = [right for null in by_task if (right := null.get(finding.task)) is not None]
        if not values or finding.right is None:
            return finding
        return replace(finding, null_low=min(values) - finding.right, null_high=max(values) - finding.right)

    return replace(comparison, findings=tuple(map(with_band, comparison.findings)))
