"""The outcome of a case: ratios by turns, the differences of the numbers compared, and how both are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.machine import MachineRate
from icl_claims.errors import ModelError

Say = Callable[[str], None]
"""Told what is being measured."""

TOLERANCE = 1e-4
"""How far numbers of both sides may lie apart: log-probabilities, similarities, tuned weights."""


def tolerance_of(dtype: torch.dtype) -> float:
    """The same in another precision: as many of its roundings."""
    return TOLERANCE * torch.finfo(dtype).eps / torch.finfo(torch.float32).eps


LARGE = 1000  # written without an exponent

TITLES = (
    "case",
    "reference",
    "ours",
    "times faster (or less), median (range)",
    "of the rate of the same products",
    "of the best product's rate",
    "best product, GFLOP/s (others)",
    "largest difference",
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
        rate: floating-point operations per second of ours, the median of the rounds, as are those that follow.
        rates: those of one product of the best of the model's shapes, again and again, before and after, by kernel.
        best_product: the kernel that was the fastest.
        fraction_of_peak: the rate of ours as a share of that kernel's.
        fraction_of_products: as a share of what the linear layers by themselves did, one after another, by whatever
            kernel was the fastest.
        max_difference: largest difference between the numbers of both sides.
    """

    case: str
    ratio: Spread
    reference: float
    ours: float
    unit: str
    measure: str = "s"
    rate: float | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    best_product: str | None = None
    fraction_of_peak: float | None = None
    fraction_of_products: float | None = None
    max_difference: float | None = None


@dataclass
class Rounds:
    """Both sides of a case by turns, in seconds (or another measure) for one unit of work.

    Args:
        reference: measure of the reference in every round.
        ours: measure of ours in every round.
        rates: operations per second of ours, where they are counted.
        machine: those of the machine's own products, just before and after.
    """

    reference: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    machine: list[MachineRate] = field(default_factory=list)

    def count(self, rate: float, before: MachineRate, after: MachineRate) -> None:
        """Note the rate of ours in a round, in operations per second, with those of the machine before and after."""
        self.rates.append(rate)
        self.machine.append(MachineRate.between(before, after))

    def outcome(
        self,
        case: str,
        unit: str,
        max_difference: float | None = None,
        *,
        measure: str = "s",
        tolerance: float = TOLERANCE,
    ) -> Outcome:
        """The rounds in short.

        Raises:
            ModelError: both sides do not give the same numbers.
        """
        if max_difference is not None and not max_difference <= tolerance:
            raise ModelError(
                f"{case}: both sides do not agree", expected=f"differences up to {tolerance:g}", got=f"{max_difference}"
            )
        return Outcome(
            case=case,
            ratio=Spread.of([theirs / own for theirs, own in zip(self.reference, self.ours, strict=True)]),
            reference=median(self.reference),
            ours=median(self.ours),
            unit=unit,
            measure=measure,
            max_difference=max_difference,
            **self._beside_the_machine(),
        )

    def _beside_the_machine(self) -> dict[str, Any]:
        if not self.machine:
            return {}
        rates = {kernel: median(of.peak[kernel] for of in self.machine) for kernel in self.machine[0].peak}
        by_round = list(zip(self.rates, self.machine, strict=True))
        return {
            "rate": median(self.rates),
            "rates": rates,
            "best_product": max(rates, key=lambda kernel: rates[kernel]),
            "fraction_of_peak": median(rate / max(of.peak.values()) for rate, of in by_round),
            "fraction_of_products": median(rate / max(of.products.values()) for rate, of in by_round),
        }


def as_json(outcomes: Sequence[Outcome], machine: dict[str, Any]) -> str:
    """Outcomes as a JSON list, each with the machine it was measured on."""
    return json.dumps([{**asdict(outcome), **machine} for outcome in outcomes], indent=1) + "\n"


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """Outcomes as a table."""
    rule = f"| --- |{' ---: |' * (len(TITLES) - 1)}"
    return "\n".join([f"| {' | '.join(TITLES)} |", rule, *map(_line, outcomes)]) + "\n"


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
        _products(outcome),
        "" if difference is None else f"{difference:.0e}",
    )
    return f"| {' | '.join(cells)} |"


def _products(outcome: Outcome) -> str:
    """The rates of the kernels, the best first."""
    if outcome.best_product is None:
        return ""
    others = [name for name in outcome.rates if name != outcome.best_product]
    best, *rest = (f"{name} {outcome.rates[name] / 1e9:.0f}" for name in (outcome.best_product, *others))
    return f"{best} ({', '.join(rest)})" if rest else best


def write(outcomes: Sequence[Outcome], machine: dict[str, Any], file: Path) -> None:
    """Write a JSON file, and a table next to it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(as_json(outcomes, machine), encoding="utf-8")
    file.with_suffix(".md").write_text(as_markdown(outcomes), encoding="utf-8")
