"""What a case gave: ratios by turns, what was compared, and how both are written down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from icl_claims.errors import ModelError

Result = TypeVar("Result")

Say = Callable[[str], None]
"""Told what is being measured."""

TOLERANCE = 1e-4
"""How far numbers of both sides may lie apart: log-probabilities, similarities, tuned weights."""

TITLE = "| case | reference | ours | times faster, median (range) | of the machine's rate | largest difference |"


@dataclass(frozen=True)
class Spread:
    """The smallest, the median and the largest of some numbers."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one number."""
        return cls(min(values), median(values), max(values))


@dataclass(frozen=True)
class Outcome:
    """What a case gave.

    Args:
        case: what was done.
        ratio: of the reference's seconds to ours, by round.
        reference: seconds of the reference, the median of the rounds.
        ours: seconds of ours, the median of the rounds.
        unit: what the seconds are for.
        fraction_of_peak: of ours, floating-point operations a second as a share of what torch.matmul did just before
            and after, the median of the rounds.
        max_difference: the largest between the numbers of both sides.
    """

    case: str
    ratio: Spread
    reference: float
    ours: float
    unit: str
    fraction_of_peak: float | None = None
    max_difference: float | None = None


@dataclass
class Rounds:
    """Both sides of a case by turns, in seconds for one unit of work.

    Args:
        reference: of every round.
        ours: of every round.
        fractions: of the machine's rate, where it is measured.
    """

    reference: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    fractions: list[float] = field(default_factory=list)

    def outcome(self, case: str, unit: str, max_difference: float | None = None) -> Outcome:
        """The rounds in short.

        Raises:
            ModelError: both sides do not give the same numbers.
        """
        if max_difference is not None and not max_difference <= TOLERANCE:
            raise ModelError(
                f"{case}: both sides do not agree", expected=f"differences up to {TOLERANCE:g}", got=f"{max_difference}"
            )
        return Outcome(
            case=case,
            ratio=Spread.of([theirs / own for theirs, own in zip(self.reference, self.ours, strict=True)]),
            reference=median(self.reference),
            ours=median(self.ours),
            unit=unit,
            fraction_of_peak=median(self.fractions) if self.fractions else None,
            max_difference=max_difference,
        )


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What some work gives, and the seconds it takes."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def as_json(outcomes: Sequence[Outcome], machine: dict[str, Any]) -> str:
    """Outcomes as a JSON list, each with the machine it was measured on."""
    return json.dumps([{**asdict(outcome), **machine} for outcome in outcomes], indent=1) + "\n"


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """Outcomes as a table."""
    return "\n".join([TITLE, "| --- | ---: | ---: | ---: | ---: | ---: |", *map(_line, outcomes)]) + "\n"


def _line(outcome: Outcome) -> str:
    ratio, peak, difference = outcome.ratio, outcome.fraction_of_peak, outcome.max_difference
    cells = (
        outcome.case,
        f"{outcome.reference:.3g} s {outcome.unit}",
        f"{outcome.ours:.3g} s",
        f"{ratio.median:.3g} ({ratio.min:.3g} to {ratio.max:.3g})",
        "" if peak is None else f"{peak:.0%}",
        "" if difference is None else f"{difference:.0e}",
    )
    return f"| {' | '.join(cells)} |"


def write(outcomes: Sequence[Outcome], machine: dict[str, Any], file: Path) -> None:
    """Write a JSON file, and a table beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(as_json(outcomes, machine), encoding="utf-8")
    file.with_suffix(".md").write_text(as_markdown(outcomes), encoding="utf-8")
