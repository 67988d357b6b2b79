"""What a claim compares, and what every task says about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Outcome = Literal["holds", "fails", "unclear", "absent"]
EVERY_TASK = "all tasks"
WHOLE_DEPTH = (0.0, 1.0)


@dataclass(frozen=True)
class Quantity:
    """A metric of a method, such as SimAOU of finetuning.

    Args:
        metric: its name in the tidy table.
        method: the method that is measured.
        reference: the method it is compared with, where the metric compares.
        layers: from which share of the depth to which, such as (0, 0.5) for the lower half.
        study: which trials it is read from: `main`, or one of `icl_claims.experiments.studies`.
    """

    metric: str
    method: str
    reference: str = "in_context"
    layers: tuple[float, float] = WHOLE_DEPTH
    study: str = "main"

    def __str__(self) -> str:
        words = f"{self.metric} of {self.method}"
        if self.reference != "in_context":
            words += f" against {self.reference}"
        if self.layers != WHOLE_DEPTH:
            words += f", from {self.layers[0]:.0%} to {self.layers[1]:.0%} of the depth"
        return words + (f" (study {self.study})" if self.study != "main" else "")


@dataclass(frozen=True)
class Finding:
    """What one task says about a claim.

    Args:
        task: its name, or `EVERY_TASK` for the mean over tasks.
        outcome: whether the claim holds there, fails, cannot be told, or has no evidence.
        left: the quantity that the claim is about.
        right: what it is compared with.
        difference: left - right.
        low: lower bound of the difference; with `high`, what the outcome was read from.
        high: upper bound of the difference.
        queries: how many queries, steps or trials the difference rests on; 0 for a printed number.
        note: why the outcome is unclear or absent.
        needed: about how many queries, or runs, would decide an unclear outcome, if the difference is as it seems.
        detectable: the smallest difference that so many queries would find in four of five repetitions.
        printed: the difference between the paper's own numbers, where it prints both.
        null_low: where the difference would lie if the method's update meant nothing; with `null_high`, the range over
            all controls.
        null_high: the other end of it.
        predicted_low: where one more draw of demonstrations would put `left`, with `predicted_high`.
        predicted_high: the other end of it.
    """

    task: str
    outcome: Outcome
    left: float | None = None
    right: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    queries: int = 0
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
    """What every task says about one question, and all of them together.

    Args:
        question: in words, such as "sim_aou of layer_causal above sim_aou of finetuning".
        findings: one a task, and one for `EVERY_TASK` where a mean over tasks makes sense.
        upwards: whether the claim wants the difference above 0; None where it wants neither side.
        left: the quantity that the claim is about.
        right: what it is compared with.
    """

    question: str
    findings: tuple[Finding, ...]
    upwards: bool | None = True
    left: Quantity | None = None
    right: Quantity | float | None = None

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


def jointly(*comparisons: Comparison) -> Comparison:
    """Several questions that a claim asks at once: a task holds where all hold, and fails where one fails.

    The numbers shown are those of the first; what the others say stands in the notes. They favour neither side, since
    the first question alone does not decide.
    """
    first = comparisons[0]
    findings = tuple(_together([c.findings[i] for c in comparisons]) for i in range(len(first.findings)))
    question = " and ".join(comparison.question for comparison in comparisons)
    return replace(first, question=question, findings=findings, upwards=None)


def _together(same_task: list[Finding]) -> Finding:
    outcomes = [finding.outcome for finding in same_task]
    outcome: Outcome = next((o for o in ("fails", "absent", "unclear") if o in outcomes), "holds")
    notes = [finding.note for finding in same_task if finding.note]
    if len(set(outcomes)) > 1:
        notes.append("; ".join(outcomes) + " in turn")
    undecided = [finding.needed for finding in same_task if finding.outcome == "unclear"]
    needed = max((n for n in undecided if n is not None), default=None) if outcome == "unclear" else None
    return replace(
        same_task[0],
        outcome=outcome,
        note="; ".join(dict.fromkeys(notes)),
        needed=None if None in undecided else needed,
    )


def absent(tasks: Iterable[str], why: str) -> tuple[Finding, ...]:
    """Findings of tasks without evidence."""
    return tuple(Finding(task, "absent", note=why) for task in tasks)
