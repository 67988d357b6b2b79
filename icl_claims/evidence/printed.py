"""Evidence of the papers' printed tables: figures with as many digits as were printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any

import pandas as pd

from icl_claims.claims import Comparison, Finding, Quantity
from icl_claims.evidence.comparison import ALL_TASKS, Side, direction, in_words, judge, unknown_quantity
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.statistics.intervals import Interval

EXACT_PLACES = 9  # finer than any printed digit: figures one unit apart touch exactly, whatever floats make of them
PAPERS_WITH_TABLES = ("rethinking", "revisited")
PERCENTAGES = ("accuracy", "rpa", "rpa_correct", "rpa_incorrect")


@dataclass(frozen=True)
class PrintedFigure:
    """A printed figure, and the size of one unit in its last printed place."""

    value: float
    unit: float


@cache
def printed_tables() -> pd.DataFrame:
    """Every cell of the papers' tables: paper, table, task, method, metric, value, unit. Percentages as fractions."""
    path = fixtures_folder() / "published" / "printed_tables.csv"
    table = pd.read_csv(path, dtype={"printed": str})
    figures = [Decimal(text) for text in table["printed"]]
    scale = [0.01 if metric in PERCENTAGES else 1.0 for metric in table["metric"]]
    table["value"] = [float(figure) * factor for figure, factor in zip(figures, scale, strict=True)]
    table["unit"] = [
        10.0 ** int(figure.as_tuple().exponent) * factor for figure, factor in zip(figures, scale, strict=True)
    ]
    return table


@dataclass(frozen=True)
class PrintedEvidence:
    """The tables of one paper.

    Args:
        paper: `rethinking` or `revisited`.
    """

    paper: str
    source: str = "printed"

    def figure(self, quantity: Quantity, task: str) -> PrintedFigure | None:
        """The figure of a task in the first table that prints it."""
        table = printed_tables()
        found = table[
            (table["paper"] == self.paper)
            & (table["task"] == task)
            & (table["metric"] == quantity.metric)
            & (table["method"] == quantity.method)
        ].sort_values("table", kind="stable")
        if found.empty:
            return None
        first = found.iloc[0]
        return PrintedFigure(float(first["value"]), float(first["unit"]))

    def compare(
        self,
        left: Quantity,
        *,
        above: Side | None = None,
        below: Side | None = None,
        tasks: Sequence[str] = ALL_TASKS,
    ) -> Comparison:
        """Compare printed figures; each may be off by half a unit in its last place, rounded or cut.

        Raises:
            ClaimError: the paper prints no such quantity.
        """
        side, upwards = direction(above, below)
        findings = tuple(self._finding(task, left, side, upwards) for task in tasks)
        if all(finding.outcome == "absent" for finding in findings):
            known = printed_tables().query("paper == @self.paper")[["metric", "method"]].drop_duplicates()
            printed = [str(Quantity(metric, method)) for metric, method in known.to_numpy()]
            sides = [quantity for quantity in (left, side) if isinstance(quantity, Quantity)]
            missing = next((quantity for quantity in sides if str(quantity) not in printed), left)
            raise unknown_quantity(missing, self.source, printed)
        return Comparison(in_words(left, side, upwards), findings, upwards, left, side)

    def _finding(self, task: str, left: Quantity, side: Side, upwards: bool) -> Finding:
        mine = self.figure(left, task)
        other = self.figure(side, task) if isinstance(side, Quantity) else PrintedFigure(side, 0.0)
        if mine is None or other is None:
            return Finding(task, "absent", note="not printed")
        difference, margin = mine.value - other.value, (mine.unit + other.unit) / 2
        low, high = (round(bound, EXACT_PLACES) for bound in (difference - margin, difference + margin))
        outcome = judge(Interval(difference, low, high), upwards)
        note = "the printed digits do not tell" if outcome == "unclear" else ""
        return Finding(task, outcome, mine.value, other.value, difference, low, high, note=note)

    def provenance(self) -> dict[str, Any]:
        """The paper whose tables were read."""
        return {"paper": self.paper, "file": "fixtures/published/printed_tables.csv"}


def with_printed_numbers(comparison: Comparison, paper: str) -> Comparison:
    """The comparison, with the paper's own difference beside every task for which it prints both sides."""
    left, right = comparison.left, comparison.right
    if left is None or right is None or paper not in PAPERS_WITH_TABLES:
        return comparison
    tables = PrintedEvidence(paper)

    def with_own(finding: Finding) -> Finding:
        mine = tables.figure(left, finding.task)
        other = tables.figure(right, finding.task) if isinstance(right, Quantity) else PrintedFigure(right, 0.0)
        return finding if mine is None or other is None else replace(finding, printed=mine.value - other.value)

    return replace(comparison, findings=tuple(map(with_own, comparison.findings)))
