"""A claim, the rule that decides it, and the verdict it gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import pytest

from icl_claims.errors import ClaimError
from icl_claims.statistics.tests import sign_flip_test, sign_test

Source = Literal["exact", "printed", "author_runs", "trials"]
SOURCES: tuple[Source, ...] = ("exact", "printed", "author_runs", "trials")
Word = Literal["supported", "refuted", "inconclusive", "not run"]
Outcome = Literal["holds", "fails", "unclear", "absent"]
Test = TypeVar("Test", bound=Callable[..., None])

PAPERS = {
    "rethinking": "Rethinking In-Context Learning in Large Language Models as Gradient Descent",
    "revisited": "Understanding In-Context Learning in Large Language Models as Gradient Descent Revisited",
    "dai": "Dai et al. 2023, Why Can GPT Learn In-Context?",
    "deutch": "Deutch et al. 2024, In-context Learning and Gradient Descent Revisited",
    "von_oswald": "von Oswald et al. 2023, Transformers Learn In-Context by Gradient Descent",
    "akyurek": "Akyürek et al. 2023, What Learning Algorithm Is In-Context Learning?",
    "irie": "Irie et al. 2022, The Dual Form of Neural Networks Revisited",
    "shen": "Shen et al. 2024, Do Pretrained Transformers Learn In-Context by Gradient Descent?",
}
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


@dataclass(frozen=True)
class Verdict:
    """What the evidence says about a claim, and why, in a sentence made from the numbers.

    Args:
        word: the verdict.
        why: one sentence, or a few.
        comparison: what it was read from, where it is about tasks.
        cases: how many cases were tried, where it is about cases.
        beside: comparisons that do not decide: other nulls, other readings of the claim, controls.
        would_change: what would change the verdict.
    """

    word: Word
    why: str
    comparison: Comparison | None = None
    cases: int = 0
    beside: tuple[Comparison, ...] = ()
    would_change: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What every task says."""
        return () if self.comparison is None else self.comparison.findings


@dataclass(frozen=True)
class TaskRule:
    """A claim about tasks holds when it holds on at least so many of them.

    A task that is undecided or was not run counts for neither side, so the verdict is `supported` or `refuted` only
    where the undecided tasks could not turn it.

    Args:
        at_least: on how many tasks the claim must hold.
        of: how many tasks there are.
        overall: whether it must hold for the mean over tasks, too.
    """

    at_least: int
    of: int = 6
    overall: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.at_least <= self.of:
            raise ClaimError("A rule asks for the impossible", expected=f"1 to {self.of}", got=f"{self.at_least=}")

    def __str__(self) -> str:
        words = f"holds on at least {self.at_least} of {self.of} tasks" if self.of > 1 else "holds on the task"
        return words + (" and over all of them together" if self.overall else "")

    def decide(self, comparison: Comparison, beside: Iterable[Comparison] = ()) -> Verdict:
        """The verdict of what the tasks say.

        Raises:
            ClaimError: there are not as many tasks as the rule speaks of.
        """
        tasks, together, beside = comparison.tasks, comparison.together, tuple(beside)
        if len(tasks) != self.of:
            raise ClaimError(f"A rule about {self.of} tasks", got=f"findings of {len(tasks)}")
        if all(finding.outcome == "absent" for finding in tasks):
            return Verdict("not run", _absence(tasks), comparison, beside=beside)
        holds, fails = (sum(finding.outcome == outcome for finding in tasks) for outcome in ("holds", "fails"))
        supported, refuted = holds >= self.at_least, fails > self.of - self.at_least
        if self.overall:
            outcome = "absent" if together is None else together.outcome
            supported, refuted = supported and outcome == "holds", refuted or outcome == "fails"
        word: Word = "supported" if supported else "refuted" if refuted else "inconclusive"
        why = self._because(holds, fails, comparison)
        change = self._would_change(word, holds, fails, comparison)
        return Verdict(word, why, comparison, beside=beside, would_change=change)

    def _because(self, holds: int, fails: int, comparison: Comparison) -> str:
        tasks, together = comparison.tasks, comparison.together
        sentence = f"Holds on {holds} and fails on {fails} of {self.of} tasks, and {self.at_least} are needed"
        undecided = [f for f in tasks if f.outcome in ("unclear", "absent")]
        if undecided:
            sentence += f"; undecided: {', '.join(f.task + (f' ({f.note})' if f.note else '') for f in undecided)}"
        if self.overall and together is not None:
            sentence += f"; over {EVERY_TASK} it {'is unclear' if together.outcome == 'unclear' else together.outcome}"
        differences = comparison.differences()
        if differences and comparison.upwards is not None:
            sentence += f". By the plain numbers it is so on {comparison.in_favour()} of {len(differences)}"
        if len(differences) > 1 and comparison.upwards is not None:
            p, _ = sign_test(comparison.in_favour(), len(differences))
            flipped, smallest = sign_flip_test(differences)
            sentence += (
                f" (one-sided sign test: p = {p:.2g}; sign-flip test of the differences: p = {flipped:.2g}; "
                f"{len(differences)} tasks allow no less than {smallest:.2g})"
            )
        return sentence + "."

    def _would_change(self, word: Word, holds: int, fails: int, comparison: Comparison) -> str:
        tasks = comparison.tasks
        if word == "inconclusive":
            waiting = [f for f in tasks if f.outcome == "unclear" and f.needed is not None]
            wanted = f"It would be supported if {self.at_least - holds} more of the undecided tasks held"
            if self.at_least <= holds:
                wanted = f"It would be supported if it held over {EVERY_TASK}"
            if fails <= self.of - self.at_least:
                wanted += f", and refuted if {self.of - self.at_least + 1 - fails} more failed"
            if waiting:
                needed = ", ".join(f"{f.task} about {f.needed}" for f in waiting)
                wanted += f". If the differences are as they seem, these would decide (queries, or runs): {needed}"
            return wanted + "."
        if word == "supported":
            return f"It would be refuted if it failed on {self.of - self.at_least + 1} of {self.of} tasks."
        if word == "refuted":
            return f"It would be supported if it held on {self.at_least} of {self.of} tasks."
        return ""


@dataclass(frozen=True)
class CaseRule:
    """A claim holds when it holds in every case: of mathematics to rounding, of figures to their last printed place."""

    words: str = "holds in every case tried, to rounding"

    def __str__(self) -> str:
        return self.words

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
                why += f"; {verb}: " + ", ".join(f.task + (f" ({f.note})" if f.note else "") for f in group)
        why += "."
        return Verdict(word, why, comparison, cases=len(counted), beside=beside)


Rule = TaskRule | CaseRule

# How the words of a paper become a count of tasks; fixed before any number was seen.
GENERALLY = TaskRule(5)  # a sentence without a count: one exception is allowed
ON_MOST_TASKS = TaskRule(4)  # "most": more than half
IN_EVERY_CASE = CaseRule()  # an identity


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper, in our words, with its place and the rule that decides it.

    Args:
        id: its id in the ledger.
        paper: a key of `PAPERS`.
        where: section, table, equation or figure.
        statement: the claim as a sentence.
        rule: what decides it, fixed before any run.

    Raises:
        ClaimError: an unknown paper.
    """

    id: str
    paper: str
    where: str
    statement: str
    rule: Rule = field(default=GENERALLY)

    def __post_init__(self) -> None:
        if self.paper not in PAPERS:
            raise ClaimError(f"Claim {self.id}: unknown paper", expected=", ".join(PAPERS), got=repr(self.paper))

    def decided_on(self, *sources: Source, trained: bool = False) -> Callable[[Test], Test]:
        """Make a test function decide this claim, once for each source of evidence.

        The function takes the fixtures `evidence` and `decide`.

        Args:
            sources: the kinds of evidence that can speak.
            trained: whether something is trained on the way, which takes a minute.
        """
        return self._mark(sources, "", trained)

    def needs(self, condition: str) -> Callable[[Test], Test]:
        """Make a test function show that the claim fails without a condition that the paper leaves out."""
        return self._mark(("exact",), condition, False)

    def _mark(self, sources: tuple[Source, ...], condition: str, trained: bool) -> Callable[[Test], Test]:
        if not sources or set(sources) - set(SOURCES):
            raise ClaimError(f"Claim {self.id}: sources", expected=", ".join(SOURCES), got=repr(sources))

        def marked(test: Test) -> Test:
            done: Test = pytest.mark.claim(self, sources=sources, condition=condition)(test)
            return pytest.mark.trained(done) if trained else done

        return marked


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
    return replace(same_task[0], outcome=outcome, note="; ".join(dict.fromkeys(notes)))


def absent(tasks: Iterable[str], why: str) -> tuple[Finding, ...]:
    """Findings of tasks without evidence."""
    return tuple(Finding(task, "absent", note=why) for task in tasks)


def _absence(tasks: Iterable[Finding]) -> str:
    reasons = list(dict.fromkeys(finding.note for finding in tasks if finding.note))
    return "; ".join(reasons) or "There is no evidence."
