"""A claim, the rule that decides it, and the verdict it gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import pytest

from icl_claims.errors import ClaimError
from icl_claims.statistics.tests import sign_test

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


@dataclass(frozen=True)
class Quantity:
    """A metric of a method, such as SimAOU of finetuning."""

    metric: str
    method: str

    def __str__(self) -> str:
        return f"{self.metric} of {self.method}"


@dataclass(frozen=True)
class Finding:
    """What one task says about a claim.

    Args:
        task: its name, or `EVERY_TASK` for the sum over tasks.
        outcome: whether the claim holds there, fails, cannot be told, or has no evidence.
        left: the quantity that the claim is about.
        right: what it is compared with.
        difference: left - right.
        low: lower bound of the difference; with `high`, what the outcome was read from.
        high: upper bound of the difference.
        queries: how many values the difference rests on; 0 for a printed number.
        note: why the outcome is unclear or absent.
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


@dataclass(frozen=True)
class Verdict:
    """What the evidence says about a claim, and why, in a sentence made from the numbers."""

    word: Word
    why: str
    findings: tuple[Finding, ...] = ()
    cases: int = 0


@dataclass(frozen=True)
class TaskRule:
    """A claim about tasks holds when it holds on at least so many of them.

    A task that is undecided or was not run counts for neither side, so the verdict is `supported` or `refuted` only
    where the undecided tasks could not turn it.

    Args:
        at_least: on how many tasks the claim must hold.
        of: how many tasks there are.
        overall: whether it must hold for the sum over tasks, too.
    """

    at_least: int
    of: int = 6
    overall: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.at_least <= self.of:
            raise ClaimError("A rule asks for the impossible", expected=f"1 to {self.of}", got=f"{self.at_least=}")

    def __str__(self) -> str:
        words = f"holds on at least {self.at_least} of {self.of} tasks"
        return words + (" and over all of them together" if self.overall else "")

    def decide(self, findings: Iterable[Finding]) -> Verdict:
        """The verdict of what the tasks say."""
        found = tuple(findings)
        tasks = [finding for finding in found if finding.task != EVERY_TASK]
        together = next((finding for finding in found if finding.task == EVERY_TASK), None)
        if all(finding.outcome == "absent" for finding in tasks):
            return Verdict("not run", _absence(tasks), found)
        holds, fails = (sum(finding.outcome == outcome for finding in tasks) for outcome in ("holds", "fails"))
        supported, refuted = holds >= self.at_least, fails > self.of - self.at_least
        if self.overall:
            outcome = "absent" if together is None else together.outcome
            supported, refuted = supported and outcome == "holds", refuted or outcome == "fails"
        word: Word = "supported" if supported else "refuted" if refuted else "inconclusive"
        return Verdict(word, self._because(holds, fails, tasks, together), found)

    def _because(self, holds: int, fails: int, tasks: list[Finding], together: Finding | None) -> str:
        sentence = f"Holds on {holds} and fails on {fails} of {self.of} tasks, and {self.at_least} are needed"
        undecided = [f for f in tasks if f.outcome in ("unclear", "absent")]
        if undecided:
            sentence += f"; undecided: {', '.join(f.task + (f' ({f.note})' if f.note else '') for f in undecided)}"
        if together is not None:
            sentence += f"; over {EVERY_TASK} it {'is unclear' if together.outcome == 'unclear' else together.outcome}"
        if holds + fails:
            p, smallest = sign_test(holds, holds + fails)
            sentence += f". One-sided sign test: p = {p:.2g}; {holds + fails} tasks allow no less than {smallest:.2g}"
        return sentence + "."


@dataclass(frozen=True)
class CaseRule:
    """A claim of mathematics holds when it holds in every case tried, to rounding."""

    words: str = "holds in every case tried, to rounding"

    def __str__(self) -> str:
        return self.words


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


def absent(tasks: Iterable[str], why: str) -> tuple[Finding, ...]:
    """Findings of tasks without evidence."""
    return tuple(Finding(task, "absent", note=why) for task in tasks)


def _absence(tasks: list[Finding]) -> str:
    reasons = list(dict.fromkeys(finding.note for finding in tasks if finding.note))
    return "; ".join(reasons) or "There is no evidence."
