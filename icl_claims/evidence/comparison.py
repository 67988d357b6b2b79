"""What every source of evidence about tasks can be asked: how one quantity compares with another, task by task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from icl_claims.claims import EVERY_TASK, Finding, Outcome, Quantity, absent
from icl_claims.errors import ClaimError
from icl_claims.statistics.intervals import Interval
from icl_claims.tasks.catalogue import TASKS

Side = Quantity | float


class TaskEvidence(Protocol):
    """A source that knows quantities by task."""

    source: str

    def compare(
        self, left: Quantity, *, above: Side | None = None, below: Side | None = None, overall: bool = False
    ) -> tuple[Finding, ...]:
        """Whether a quantity lies above, or below, another quantity or a number, on each task.

        Args:
            left: the quantity that the claim is about.
            above: what it should exceed.
            below: what it should stay under.
            overall: whether all tasks together are compared as well.
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
        self, left: Quantity, *, above: Side | None = None, below: Side | None = None, overall: bool = False
    ) -> tuple[Finding, ...]:
        """No task has evidence."""
        direction(above, below)
        return absent(TASKS, self.why)

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


def judge(interval: Interval, upwards: bool) -> Outcome:
    """`holds` or `fails` where the whole interval of the difference lies on one side of 0, else `unclear`."""
    if interval.excludes_below(0.0):
        return "holds" if upwards else "fails"
    if interval.excludes_above(0.0):
        return "fails" if upwards else "holds"
    return "unclear"


def unknown_quantity(side: Quantity, source: str, known: Sequence[str]) -> ClaimError:
    """The error of asking a source for what it does not hold."""
    return ClaimError(f"{source} evidence holds no {side}", expected=f"one of {', '.join(known)}", got=str(side))


__all__ = ["EVERY_TASK", "AbsentEvidence", "Side", "TaskEvidence", "direction", "judge", "unknown_quantity"]
