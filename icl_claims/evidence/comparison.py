"""What every source of evidence about tasks can be asked: how one quantity compares with another, task by task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from icl_claims.claims import Comparison, Outcome, Quantity, absent
from icl_claims.errors import ClaimError
from icl_claims.statistics.equivalence import Equivalence, equivalence
from icl_claims.statistics.intervals import CONFIDENCE, Interval
from icl_claims.tasks.catalogue import PAPERS_TASKS

Side = Quantity | float
ALL_TASKS = PAPERS_TASKS


class TaskEvidence(Protocol):
    """A source that knows quantities by task."""

    source: str

    def compare(
        self,
        left: Quantity,
        *,
        above: Side | None = None,
        below: Side | None = None,
        tasks: Sequence[str] = ALL_TASKS,
        confidence: float = CONFIDENCE,
    ) -> Comparison:
        """Whether a quantity lies above, or below, another quantity or a number, on each task and on their mean.

        Args:
            left: the quantity that the claim is about.
            above: what it should exceed.
            below: what it should stay under.
            tasks: that the claim is about.
            confidence: of each task's interval, where the source has any: higher where a claim looks for one task among
                several.
        """
        ...

    def equivalent(
        self, left: Quantity, to: Quantity, *, within: float, tasks: Sequence[str] = ALL_TASKS
    ) -> Comparison:
        """Whether a quantity is as large as another, give or take a share of the other.

        Args:
            left: the quantity that the claim is about.
            to: what it should equal.
            within: allowed difference, as a share of `to` (of its mean on the task).
            tasks: that the claim is about.
        """
        ...

    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from."""
        ...


@dataclass(frozen=True)
class AbsentEvidence:
    """A source that could not be asked.

    Args:
        source: which.
        why: the reason, and what would bring it.
    """

    source: str
    why: str
    details: dict[str, Any] = field(default_factory=dict)

    def compare(
        self,
        left: Quantity,
        *,
        above: Side | None = None,
        below: Side | None = None,
        tasks: Sequence[str] = ALL_TASKS,
        confidence: float = CONFIDENCE,
    ) -> Comparison:
        """No task has evidence."""
        side, upwards = direction(above, below)
        return Comparison(in_words(left, side, upwards), absent(tasks, self.why), upwards, left, side)

    def equivalent(
        self, left: Quantity, to: Quantity, *, within: float, tasks: Sequence[str] = ALL_TASKS
    ) -> Comparison:
        """No task has evidence."""
        return Comparison(equal_in_words(left, to, within), absent(tasks, self.why), None, left, to)

    def provenance(self) -> dict[str, Any]:
        """Why there is none."""
        return {"absent": self.why, **self.details}


def direction(above: Side | None, below: Side | None) -> tuple[Side, bool]:
    """The other side of a comparison, and whether the left one should exceed it.

    Raises:
        ClaimError: not exactly one side is given.
    """
    if above is not None and below is None:
        return above, True
    if below is not None and above is None:
        return below, False
    raise ClaimError("A comparison", expected="either `above` or `below`", got="both or neither")


def in_words(left: Quantity, side: Side, upwards: bool) -> str:
    """The question of a comparison."""
    return f"{left} {'above' if upwards else 'below'} {side if isinstance(side, Quantity) else f'{side:g}'}"


def equal_in_words(left: Quantity, to: Quantity, within: float) -> str:
    """The question of an equivalence."""
    return f"{left} equals {to}, give or take {within:.0%}"


def judge(interval: Interval, upwards: bool) -> Outcome:
    """`holds` or `fails` where the whole interval of the difference lies on one side of 0, else `unclear`."""
    if interval.excludes_below(0.0):
        return "holds" if upwards else "fails"
    if interval.excludes_above(0.0):
        return "fails" if upwards else "holds"
    return "unclear"


def judge_equal(interval: Interval, margin: float) -> Outcome:
    """`holds` where the whole interval lies within the margin around 0, `fails` where all of it lies outside."""
    outcomes: dict[Equivalence, Outcome] = {"equivalent": "holds", "different": "fails", "unclear": "unclear"}
    return outcomes[equivalence(interval, margin)]


def of_the_model(quantity: Quantity) -> Quantity:
    """The quantity as tables and logs know it: of a model, trained or not, and of none of our studies."""
    return quantity if quantity.study.startswith("untrained") else replace(quantity, study="main")


def over_tasks(counted: int, asked: int) -> str:
    """Over which tasks a mean is taken, and that it does not decide where some are missing."""
    return f"over {counted} tasks" if counted == asked else f"over {counted} of {asked} tasks: the others could turn it"


def unknown_quantity(side: Quantity, source: str, known: Sequence[str]) -> ClaimError:
    """The error of asking a source for what it does not hold."""
    return ClaimError(f"{source} evidence holds no {side}", expected=f"one of {', '.join(known)}", got=str(side))
