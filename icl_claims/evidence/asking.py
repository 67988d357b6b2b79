"""How evidence about tasks is asked: a source gives numbers, and the answer to every kind of question follows here."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from icl_claims.claims import Comparison, Finding, Outcome, denied, jointly
from icl_claims.errors import ClaimError
from icl_claims.questions import Compared, Denied, Joint, Near, NotAbove, Quantity, Question, TwoSided
from icl_claims.statistics import intervals, significance
from icl_claims.tasks import PAPERS_TASKS

_OUTCOMES: dict[str, Outcome] = {
    **dict.fromkeys(("as asked", "equivalent", "not above"), "holds"),
    **dict.fromkeys(("against it", "different", "above"), "fails"),
    "unclear": "unclear",
}


class NotHeldError(ClaimError):
    """A source holds nothing of the kind on any task; beside the question that decides, it is then left out."""


@dataclass(frozen=True)
class Numbers:
    """What a source says about two sides of a comparison on one task, or on all of them.

    Args:
        task: Name of the task, or `EVERY_TASK`.
        interval: Interval of the difference of the two means, at the confidence that the question asks for.
        count: How many queries or runs it rests on.
        note: What is always said.
        unclear: What is said if the interval does not decide.
        absent: Why there is no evidence; empty if there is.
        undecided: Whether the task cannot decide, whatever its interval.
        needed: As in a `Finding`, and so is `detectable`.
        predicted: Where one more draw of demonstrations would put the left side.
    """

    task: str
    left: float = np.nan
    right: float = np.nan
    interval: intervals.Interval = intervals.UNDEFINED
    count: int = 0
    note: str = ""
    unclear: str = ""
    absent: str = ""
    undecided: bool = False
    needed: int | None = None
    detectable: float | None = None
    predicted: tuple[float, float] = (np.nan, np.nan)

    def finding(self, question: TwoSided) -> Finding:
        """What they say to a question."""
        if self.absent:
            return Finding(self.task, "absent", note=self.absent)
        outcome = "unclear" if self.undecided else self._judged(question)
        wanting = outcome == "unclear" and not self.undecided
        return Finding(
            self.task,
            outcome,
            left=_finite(self.left),
            right=_finite(self.right),
            difference=_finite(self.interval.estimate),
            low=_finite(self.interval.low),
            high=_finite(self.interval.high),
            queries=self.count,
            note=self.note or (self.unclear if wanting else ""),
            needed=self.needed if wanting and isinstance(question, Compared) else None,
            detectable=self.detectable,
            predicted_low=_finite(self.predicted[0]),
            predicted_high=_finite(self.predicted[1]),
        )

    def _judged(self, question: TwoSided) -> Outcome:
        """Whether the whole interval lies on the side, or within the margin, that the question asks for."""
        higher, lower = self.interval.excludes_below(0.0), self.interval.excludes_above(0.0)
        match question:
            case Near(within=share):
                found: str = significance.equivalence(self.interval, share * abs(self.right))
            case NotAbove(within=share):
                found = significance.non_superiority(self.interval, share * abs(self.right))
            case Compared(upwards=upwards):
                found = "as asked" if (higher if upwards else lower) else "against it" if higher or lower else "unclear"
        return _OUTCOMES[found]


class TaskEvidence(ABC):
    """A source that knows quantities by task. What it must do is give numbers; all questions are answered here."""

    source: str

    @abstractmethod
    def numbers(self, question: TwoSided, tasks: Sequence[str], confidence: float) -> Sequence[Numbers]:
        """What is known of both sides of a question, task by task and then over all of them.

        The question's own tasks and confidence are not looked at.

        Raises:
            NotHeldError: The source holds nothing of the kind on any task.
        """

    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from."""

    def ask(self, question: Question) -> Comparison:
        """What every task says to a question.

        Raises:
            NotHeldError: The source holds nothing of the kind on any task.
            ClaimError: No trial measures it.
        """
        match question:
            case TwoSided():
                usual = significance.CONFIDENCE_FOR_EQUIVALENCE if isinstance(question, Near) else intervals.CONFIDENCE
                numbers = self.numbers(question, question.tasks or PAPERS_TASKS, question.confidence or usual)
                upwards = question.upwards if isinstance(question, Compared) else None
                findings = tuple(one.finding(question) for one in numbers)
                return Comparison(str(question), findings, upwards, *question.sides)
            case Joint():
                required = [self.ask(part) for part in question.parts if not part.optional]
                known = self.answers(*(part for part in question.parts if part.optional))
                if not required and not known:
                    raise NotHeldError(f"The source {self.source} knows no part of a question", got=str(question))
                return jointly([*required, *known])
            case Denied():
                return denied(self.ask(question.question))
        raise ClaimError("Unknown kind of question", got=type(question).__name__)

    def answers(self, *questions: Question) -> tuple[Comparison, ...]:
        """What the source says to those questions for which it holds something on some task; others are left out."""
        found = []
        for question in questions:
            with suppress(NotHeldError):
                found.append(self.ask(question))
        return tuple(one for one in found if any(finding.outcome != "absent" for finding in one.tasks))

    def _refuse(self, quantity: Quantity, known: Sequence[str]) -> NoReturn:
        of_metric = [name for name in known if name.startswith(f"{quantity.metric.name} of ")]
        wanted = f"one of {', '.join(of_metric or known)}"
        raise NotHeldError(f"The source {self.source} holds no {quantity.name}", expected=wanted, got=quantity.name)


@dataclass(frozen=True)
class AbsentEvidence(TaskEvidence):
    """A source that could not be asked: why, and what would bring it; and what else is known of it."""

    source: str
    why: str
    details: dict[str, Any] = field(default_factory=dict)

    def numbers(self, question: TwoSided, tasks: Sequence[str], confidence: float) -> Sequence[Numbers]:
        """None, for the same reason on every task."""
        return [Numbers(task, absent=self.why) for task in tasks]

    def provenance(self) -> dict[str, Any]:
        """Why there is none."""
        return {"absent": self.why, **self.details}


def over_tasks(counted: int, asked: int) -> str:
    """Over which tasks a mean is taken, and that it does not decide where some are missing."""
    return f"over {counted} tasks" if counted == asked else f"over {counted} of {asked} tasks: the others could turn it"


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
