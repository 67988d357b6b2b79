"""What an undecided claim waits for: more draws, tasks that the model learns in context, methods that do not fail."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from icl_claims.claims import Comparison, Finding, Outcome, Rule, Verdict
from icl_claims.evidence.rounds import DECIDED
from icl_claims.tasks import title_of_task


@dataclass(frozen=True)
class Outlook:
    """What would decide a claim on trials, if the differences are as they seem.

    Args:
        draws: After how many draws of each task it would probably be decided; None if no number of them would, or it
            is not known.
        why: In words, what else it waits for, or that it was not looked at yet.
    """

    draws: int | None = None
    why: str = ""


def not_begun(first: int) -> Outlook:
    """That of a claim for whose trials no time was left, if it is looked at after so many draws for the first time."""
    return Outlook(first, f"no time was left for its trials; the first look is after {first} draws of each task")


def outlook_of(rule: Rule, verdict: Verdict, *, closed: Collection[str]) -> Outlook | None:
    """What would decide a claim; None where it is decided.

    A task that waits for draws says, after as many as it needs, what its p values lean to. Where all of these have
    spoken and the rule still cannot decide, other tasks are to blame.

    Args:
        rule: What decides.
        verdict: What it says now.
        closed: Tasks that the model does not learn in context.
    """
    comparison = verdict.comparison
    if verdict.word in DECIDED:
        return None
    if comparison is None:
        return Outlook(why=verdict.would_change or verdict.why)
    if rule.decide(comparison).word == "supported":
        return Outlook(why=verdict.would_change)
    waiting = [one for one in comparison.findings if _waits(one, closed)]
    for draws in sorted({one.needed for one in waiting if one.needed is not None}):
        if rule.decide(_after(comparison, draws, closed)).word in DECIDED:
            return Outlook(draws)
    return Outlook(why=_blame(comparison, closed))


def _waits(finding: Finding, closed: Collection[str]) -> bool:
    return finding.outcome == "unclear" and finding.task not in closed


def _after(comparison: Comparison, draws: int, closed: Collection[str]) -> Comparison:
    """The comparison after so many draws, if every difference is as it seems."""

    def said(finding: Finding) -> Finding:
        told = _waits(finding, closed) and finding.needed is not None and finding.needed <= draws
        return replace(finding, outcome=_leaning(finding, comparison)) if told else finding

    return replace(comparison, findings=tuple(map(said, comparison.findings)))


def _leaning(finding: Finding, comparison: Comparison) -> Outcome:
    if finding.p_holds is not None and finding.p_fails is not None:
        return "holds" if finding.p_holds < finding.p_fails else "fails"
    upwards = (finding.difference or 0.0) > 0
    return "holds" if upwards == (comparison.upwards is not False) else "fails"


def _blame(comparison: Comparison, closed: Collection[str]) -> str:
    """Which tasks keep a rule from deciding, and why, in sentences."""
    not_learned = [one.task for one in comparison.tasks if one.outcome == "unclear" and one.task in closed]
    failing: dict[str, list[str]] = {}
    for one in comparison.tasks:
        if one.outcome == "absent":
            failing.setdefault(one.note or "it was not measured", []).append(one.task)
    even = [one.task for one in comparison.tasks if _waits(one, closed) and one.needed is None]
    said = [f"the model does not learn {_titles(not_learned)} in context"] if not_learned else []
    said += [f"there is no evidence on {_titles(tasks)} ({why})" for why, tasks in failing.items()]
    said += [f"after how many draws {_titles(even)} would decide cannot be told"] if even else []
    return "; ".join(said) or "the tasks contradict each other, and each is sure"


def _titles(tasks: Collection[str]) -> str:
    return ", ".join(map(title_of_task, tasks))
