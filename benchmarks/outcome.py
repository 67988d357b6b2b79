"""The outcome of a case: ratios by turns, the differences of the numbers compared, and how both are written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any, TypeVar

from benchmarks.arithmetic import MachineRate
from icl_claims.errors import ModelError

Result = TypeVar("Result")

Say = Callable[[str], None]
"""Told what is being measured."""

TOLERANCE = 1e-4
"""How far numbers of both sides may lie apart: log-probabilities, similarities, tuned weights."""

LARGE = 1000  # written without an exponent

TITLE = (
    "| case | reference | ours | times faster (or less), median (range) "
    "| of the rate of the same products | of the best product's rate | largest difference |"
)


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
    """The outcome of a case.

    Args:
        case: what was done.
        ratio: the reference's seconds over ours, by round.
        reference: seconds of the reference, the median of the rounds.
        ours: seconds of ours, the median of the rounds.
        unit: what the seconds are for.
        measure: `s`, or what is measured in the place of seconds.
        fraction_of_peak: floating-point operations per second of ours as a share of what torch.matmul did just before
            and after, with the best of the blocks' shapes; the median of the rounds.
        fraction_of_products: as a share of what the blocks' matrix products did by themselves, one after another.
        max_difference: largest difference between the numbers of both sides.
    """

    case: str
    ratio: Spread
    reference: float
    ours: float
    unit: str
    measure: str = "s"
    fraction_of_peak: float | None = None
    fraction_of_products: float | None = None
    max_difference: float | None = None


@dataclass
class Rounds:
    """Both sides of a case by turns, in seconds (or another measure) for one unit of work.

    Args:
        reference: measure of the reference in every round.
        ours: measure of ours in every round.
        of_peak: ours as shares of the machine's best rate, where that is measured.
        of_products: ours as shares of the rate of the same products by themselves.
    """

    reference: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    of_peak: list[float] = field(default_factory=list)
    of_products: list[float] = field(default_factory=list)

    def count(self, rate: float, before: MachineRate, after: MachineRate) -> None:
        """Note the rate of ours in a round, in operations per second, with those of the machine before and after."""
        self.of_peak.append(rate / mean((before.peak, after.peak)))
        self.of_products.append(rate / mean((before.products, after.products)))

    def outcome(self, case: str, unit: str, max_difference: float | None = None, *, measure: str = "s") -> Outcome:
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
            measure=measure,
            fraction_of_peak=median(self.of_peak) if self.of_peak else None,
            fraction_of_products=median(self.of_products) if self.of_products else None,
            max_difference=max_difference,
        )


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """The result of some work, and the seconds it takes."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def as_json(outcomes: Sequence[Outcome], machine: dict[str, Any]) -> str:
    """Outcomes as a JSON list, each with the machine it was measured on."""
    return json.dumps([{**asdict(outcome), **machine} for outcome in outcomes], indent=1) + "\n"


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """Outcomes as a table."""
    return "\n".join([TITLE, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |", *map(_line, outcomes)]) + "\n"


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= LARGE else f"{value:.3g}"


def _line(outcome: Outcome) -> str:
    ratio, difference = outcome.ratio, outcome.max_difference
    shares = outcome.fraction_of_products, outcome.fraction_of_peak
    cells = (
        outcome.case,
        f"{_figure(outcome.reference)} {outcome.measure} {outcome.unit}",
        f"{_figure(outcome.ours)} {outcome.measure}",
        f"{ratio.median:.3g} ({ratio.min:.3g} to {ratio.max:.3g})",
        *("" if share is None else f"{share:.0%}" for share in shares),
        "" if difference is None else f"{difference:.0e}",
    )
    return f"| {' | '.join(cells)} |"


def write(outcomes: Sequence[Outcome], machine: dict[str, Any], file: Path) -> None:
    """Write a JSON file, and a table next to it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(as_json(outcomes, machine), encoding="utf-8")
    file.with_suffix(".md").write_text(as_markdown(outcomes), encoding="utf-8")
