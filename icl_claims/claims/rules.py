"""Verdicts, and the rules that turn a comparison into one; a claim has its rule before any number is seen."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from icl_claims.claims.comparison import EVERY_TASK, Comparison, Finding
from icl_claims.errors import ClaimError
from icl_claims.statistics.error_rates import ALLOWED, Errors
from icl_claims.tasks import title_of_task

Word = Literal["supported", "refuted", "vacuous", "inconclusive", "not run", "consistent", "inconsistent"]


@dataclass(frozen=True)
class NullVerdict:
    """What the same rule says of a planted null, and whether the claim's own quantity exceeds it.

    Args:
        exceeded: Yes, no, or undecided.
        why: The verdict's reason, in a sentence.
    """

    name: str
    word: Word
    exceeded: Literal["yes", "no", "undecided"]
    why: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the evidence says about a claim, and why, in a sentence made from the numbers.

    Args:
        comparison: What it was read from, where it is about tasks.
        cases: How many cases were tried, where it is about cases.
        beside: Comparisons that do not decide: other nulls, other readings of the claim, controls.
        would_change: What would change the verdict.
        plain_numbers: What the differences say whatever their intervals.
        p: The smallest error probability at which the rule would say supported, and at which it would say refuted.
        decided_by: Which part of a joint claim decided.
        nulls: What the rule says of planted nulls.
    """

    word: Word
    why: str
    comparison: Comparison | None = None
    cases: int = 0
    beside: tuple[Comparison, ...] = ()
    would_change: str = ""
    plain_numbers: str = ""
    p: tuple[float | None, float | None] | None = None
    decided_by: str = ""
    nulls: tuple[NullVerdict, ...] = ()


@dataclass(frozen=True)
class TaskRule:
    """A claim about tasks holds when it holds on at least so many of them, and, if `overall`, for the mean over them.

    A task that is undecided or was not run counts for neither side, so the verdict is `supported` or `refuted` only
    where the undecided tasks could not turn it. A claim about the mean alone asks for none (`ON_AVERAGE`).

    Either word is wrong at most 5 % of the time, however tasks depend on each other. "Supported" of a claim that holds
    on one task too few needs one of the other K - m + 1 to be mistaken, so each may be in a (K - m + 1)th of that; and
    "refuted" of one that holds on just m tasks, one of these m.

    Source: Benjamini and Heller 2008 (partial conjunction hypotheses, Bonferroni's combination).
    """

    at_least: int
    of: int = 6
    overall: bool = False

    def __post_init__(self) -> None:
        fewest = 0 if self.overall else 1
        if not fewest <= self.at_least <= self.of:
            wanted = f"at_least={self.at_least} must be between {fewest} and {self.of}"
            raise ClaimError(f"A rule asks for the impossible: {wanted}")

    def __str__(self) -> str:
        if not self.at_least:
            return f"holds for the mean over {self.of} tasks"
        words = f"holds on at least {self.at_least} of {self.of} tasks" if self.of > 1 else "holds on the task"
        return words + (" and over all of them together" if self.overall else "")

    @property
    def errors(self) -> Errors:
        """How often the words of single tasks, and of their mean, may be wrong."""
        ways_to_fail = 2 if self.overall and self.at_least else 1
        return Errors(
            holds=ALLOWED / self._to_refute,
            fails=ALLOWED / ways_to_fail / max(self.at_least, 1),
            together_holds=ALLOWED,
            together_fails=ALLOWED / ways_to_fail,
        )

    @property
    def _to_refute(self) -> int:
        """On how many tasks it must fail to be refuted."""
        return self.of - self.at_least + 1

    def p_values(self, comparison: Comparison) -> tuple[float | None, float | None]:
        """The smallest error at which the rule would say supported, and refuted; None where nothing gives one."""
        tasks, together = comparison.tasks, comparison.together
        supported = _combined([one.p_holds for one in tasks], self.at_least, self._to_refute)
        refuted = _combined([one.p_fails for one in tasks], self._to_refute, self.at_least) if self.at_least else None
        if self.overall and together is not None:
            both = [p for p in (supported, together.p_holds) if p is not None]
            supported = max(both) if len(both) == (2 if self.at_least else 1) else None
            either = [p for p in (refuted, together.p_fails) if p is not None]
            refuted = min(1.0, min(either) * (2 if self.at_least else 1)) if either else None
        return supported, refuted

    def decide(self, comparison: Comparison, beside: Iterable[Comparison] = ()) -> Verdict:
        """The verdict of what the tasks say.

        Raises:
            ClaimError: There are not as many tasks as the rule speaks of.
        """
        tasks, together, beside = comparison.tasks, comparison.together, tuple(beside)
        if len(tasks) != self.of:
            todo = "Ask of as many tasks as the rule speaks of: question.on(...), at_least(n, of=...)."
            raise ClaimError(f"A rule about {self.of} tasks was asked to decide {len(tasks)}", todo=todo)
        if all(finding.outcome == "absent" for finding in tasks):
            return Verdict("not run", _absence(tasks), comparison, beside=beside)
        holds, fails = (sum(finding.outcome == outcome for finding in tasks) for outcome in ("holds", "fails"))
        supported, refuted = holds >= self.at_least, bool(self.at_least) and fails >= self._to_refute
        if self.overall:
            outcome = "absent" if together is None else together.outcome
            supported, refuted = supported and outcome == "holds", refuted or outcome == "fails"
        word: Word = "supported" if supported else "refuted" if refuted else "inconclusive"
        needed = f"{self.at_least} are needed" if self.at_least else "their mean decides"
        why = f"Holds on {holds} and fails on {fails} of {self.of} tasks, and {needed}"
        undecided = [f for f in tasks if f.outcome in ("unclear", "absent")]
        if undecided:
            why += f"; undecided: {_named(undecided)}"
        if self.overall and together is not None:
            why += f"; over {EVERY_TASK} it {'is unclear' if together.outcome == 'unclear' else together.outcome}"
        change = self._would_change(word, holds, fails, tasks)
        p, plain = self.p_values(comparison), _plain_numbers(comparison)
        decided_by = _deciding_part(comparison, word)
        return Verdict(word, f"{why}.", comparison, 0, beside, change, plain, p, decided_by)

    def _would_change(self, word: Word, holds: int, fails: int, tasks: Iterable[Finding]) -> str:
        counted, over_all = sum(finding.outcome != "absent" for finding in tasks), f"over {EVERY_TASK}"
        more = self.of - self.at_least + 1 - fails
        could_hold = counted - fails if word == "inconclusive" else counted
        if word != "supported" and counted < self.of and (self.overall or could_hold < self.at_least):
            asked = (f"{self.at_least} of {self.of} tasks",) * bool(self.at_least)
            asked += (f"the mean over {self.of}",) * self.overall
            wanted = f"It cannot be supported here: it is about {' and '.join(asked)}, and {counted} have evidence"
            wanted += f", {fails} of them against it" if fails else ""
            if word == "inconclusive" and more <= counted - holds - fails:
                wanted += f". It would be refuted if {more} more failed"
            return f"{wanted}."
        if word == "inconclusive":
            waiting = [f for f in tasks if f.outcome == "unclear" and f.needed is not None]
            wanted = f"It would be supported if {self.at_least - holds} more of the undecided tasks held"
            if self.at_least <= holds:
                wanted = f"It would be supported if it held {over_all}"
            if self.at_least and more > 0:
                wanted += f", and refuted if {more} more failed"
            elif not self.at_least:
                wanted += ", and refuted if it failed there"
            if waiting:
                needed = ", ".join(f"{title_of_task(f.task)} about {f.needed}" for f in waiting)
                wanted += f". If the differences are as they seem, so many draws would decide: {needed}"
            return wanted + "."
        count = self.at_least if word == "refuted" else self.of - self.at_least + 1
        places = (f"on {count} of {self.of} tasks",) * bool(self.at_least) + (over_all,) * self.overall
        if word == "supported":
            return f"It would be refuted if it failed {', or '.join(places)}."
        return f"It would be supported if it held {' and '.join(places)}."


@dataclass(frozen=True)
class CaseRule:
    """A claim holds when it holds in every case: of mathematics to rounding, of figures to their last printed place."""

    words: str = "holds in every case tried, to rounding; where two things must differ, they do in most cases"

    def __str__(self) -> str:
        return self.words

    @property
    def errors(self) -> Errors | None:
        """None: a case holds or does not."""
        return None

    def decide(self, comparison: Comparison, beside: Iterable[Comparison] = ()) -> Verdict:
        """The verdict of a list of cases, each with a finding under its own name."""
        found, beside = comparison.findings, tuple(beside)
        counted = [finding for finding in found if finding.outcome != "absent"]
        if not counted:
            return Verdict("not run", _absence(found), comparison, beside=beside)
        fails, unclear = ([f for f in counted if f.outcome == outcome] for outcome in ("fails", "unclear"))
        word: Word = "refuted" if fails else "inconclusive" if unclear else "supported"
        why = f"Holds in {len(counted) - len(fails) - len(unclear)} of {len(counted)} cases"
        for group, verb in ((fails, "fails"), (unclear, "undecided")):
            if group:
                why += f"; {verb}: {_named(group)}"
        return Verdict(word, f"{why}.", comparison, cases=len(counted), beside=beside)


Rule = TaskRule | CaseRule


def at_least(count: int, *, of: int = 6, overall: bool = False) -> TaskRule:
    """The rule that a claim holds on at least so many tasks.

    >>> print(at_least(5))
    holds on at least 5 of 6 tasks
    """
    return TaskRule(count, of, overall)


# How the words of a paper become a count of tasks; fixed before any number was seen.
GENERALLY = TaskRule(5)  # a sentence without a count: one exception is allowed
ON_MOST_TASKS = TaskRule(4)  # "most": more than half
ON_AVERAGE = TaskRule(0, overall=True)  # "on average": the mean over tasks, whatever single ones say
IN_EVERY_CASE = CaseRule()  # an identity


def _combined(p_values: Iterable[float | None], at_least: int, ways: int) -> float | None:
    """The p value that at least so many hold, of which `ways` mistaken ones would be enough."""
    known = sorted(p for p in p_values if p is not None)
    return min(1.0, ways * known[at_least - 1]) if 0 < at_least <= len(known) else None


def _deciding_part(comparison: Comparison, word: Word) -> str:
    """Of several questions, those on which the verdict hangs: which fail, or are undecided, on most tasks."""
    outcome = {"refuted": "fails", "inconclusive": "unclear"}.get(word)
    if not comparison.parts or outcome is None:
        return ""
    counts = [sum(finding.outcome == outcome for finding in part.tasks) for part in comparison.parts]
    deciding = [part.question for part, many in zip(comparison.parts, counts, strict=True) if many == max(counts) > 0]
    return "; ".join(deciding)


def _plain_numbers(comparison: Comparison) -> str:
    """What the differences say whatever their intervals; empty if the claim wants neither side."""
    differences = comparison.differences()
    if not differences or comparison.upwards is None:
        return ""
    return f"By the plain numbers it is so on {comparison.in_favour()} of {len(differences)}."


def _named(findings: Iterable[Finding]) -> str:
    return ", ".join(title_of_task(one.task) + (f" ({one.note})" if one.note else "") for one in findings)


def _absence(tasks: Iterable[Finding]) -> str:
    reasons = list(dict.fromkeys(finding.note for finding in tasks if finding.note))
    return "; ".join(reasons) or "There is no evidence."
