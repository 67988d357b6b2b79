"""Evidence of the papers' printed tables: figures with as many digits as were printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from icl_claims.claims import EVERY_TASK, Comparison, Finding, Outcome, Quantity
from icl_claims.evidence.comparison import (
    ALL_TASKS,
    Side,
    direction,
    equal_in_words,
    in_words,
    judge,
    judge_equal,
    of_the_model,
    unknown_quantity,
)
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.statistics.intervals import CONFIDENCE, Interval

FILE = "published/printed_tables.csv"
PERCENTAGES = ("accuracy", "rpa", "rpa_correct", "rpa_incorrect", "rec2ftp")
AVERAGE = "average"
READINGS = {"cut": (0.0, 1.0), "rounded": (-0.5, 0.5)}
"""A figure v whose last place is worth u stands for a number in [v + a u, v + b u)."""
Judge = Callable[[Interval, float], Outcome]
"""The outcome of a difference, given its interval and the size of the other side."""
EXACT_PLACES = 9  # finer than any printed digit: figures one unit apart touch exactly, whatever floats make of them


@dataclass(frozen=True)
class PrintedFigure:
    """A printed figure.

    Args:
        value: as printed; a percentage as a fraction.
        unit: worth of one in its last printed place; 0 for a number that is exact.
        table: that prints it.
    """

    value: float
    unit: float
    table: str = ""


Pair = tuple[PrintedFigure, PrintedFigure]


@cache
def printed_tables() -> pd.DataFrame:
    """Every cell of the papers' tables: paper, table, task, method, metric, printed, value, unit.

    `printed` is the figure as text; percentages are fractions in `value` and `unit`. The task `average` is the
    tables' own mean over their tasks.
    """
    table = pd.read_csv(fixtures_folder() / FILE, dtype={"printed": str, "table": str})
    figures = [Decimal(text) for text in table["printed"]]
    scale = [0.01 if metric in PERCENTAGES else 1.0 for metric in table["metric"]]
    table["value"] = [float(figure) * factor for figure, factor in zip(figures, scale, strict=True)]
    table["unit"] = [
        10.0 ** int(figure.as_tuple().exponent) * factor for figure, factor in zip(figures, scale, strict=True)
    ]
    return table


def difference_of(mine: PrintedFigure, other: PrintedFigure) -> Interval:
    """What the difference of two figures can be.

    Figures of one table are taken to have been printed in one way, both cut or both rounded; those of two tables each
    in its own. An end that cannot be reached is moved inwards by less than any digit.

    Args:
        mine: the figure that the claim is about.
        other: the one that is taken away from it.
    """
    ways = product(READINGS, READINGS) if mine.table != other.table else zip(READINGS, READINGS, strict=True)
    lows, highs = [], []
    for reading, others_reading in ways:
        (start, end), (others_start, others_end) = READINGS[reading], READINGS[others_reading]
        lows.append(mine.value + start * mine.unit - other.value - others_end * other.unit)
        highs.append(mine.value + end * mine.unit - other.value - others_start * other.unit)
    inwards = 10.0**-EXACT_PLACES
    low = round(min(lows), EXACT_PLACES) + (inwards if other.unit else 0.0)
    high = round(max(highs), EXACT_PLACES) - (inwards if mine.unit else 0.0)
    return Interval(mine.value - other.value, low, high)


@dataclass(frozen=True)
class PrintedEvidence:
    """The tables of one paper.

    Args:
        paper: a key of `icl_claims.claims.PAPERS`.
    """

    paper: str
    source: str = "printed"

    def figures(self, quantity: Quantity, task: str) -> tuple[PrintedFigure, ...]:
        """The figure of a task in every table that prints it, in the order of the tables."""
        if of_the_model(quantity) != Quantity(quantity.metric, quantity.method):
            return ()
        table = printed_tables()
        found = table[
            (table["paper"] == self.paper)
            & (table["task"] == task)
            & (table["metric"] == quantity.metric)
            & (table["method"] == quantity.method)
        ].sort_values("table", kind="stable")
        columns = (found["value"], found["unit"], found["table"])
        return tuple(PrintedFigure(float(v), float(u), str(t)) for v, u, t in zip(*columns, strict=True))

    def figure(self, quantity: Quantity, task: str) -> PrintedFigure | None:
        """The figure of a task in the first table that prints it."""
        return next(iter(self.figures(quantity, task)), None)

    def compare(
        self,
        left: Quantity,
        *,
        above: Side | None = None,
        below: Side | None = None,
        tasks: Sequence[str] = ALL_TASKS,
        confidence: float = CONFIDENCE,
    ) -> Comparison:
        """Compare printed figures, of one table where one prints both, cut or rounded as they may have been.

        Raises:
            ClaimError: the paper prints no such quantity.
        """
        side, upwards = direction(above, below)
        findings = self._findings(left, side, tasks, lambda interval, _size: judge(interval, upwards))
        return Comparison(in_words(left, side, upwards), findings, upwards, left, side)

    def equivalent(
        self, left: Quantity, to: Quantity, *, within: float, tasks: Sequence[str] = ALL_TASKS
    ) -> Comparison:
        """Whether all that two figures can stand for lies within a share of the other.

        Raises:
            ClaimError: the paper prints no such quantity.
        """

        def judged(interval: Interval, size: float) -> Outcome:
            return judge_equal(interval, within * abs(size))

        findings = self._findings(left, to, tasks, judged)
        return Comparison(equal_in_words(left, to, within), findings, None, left, to)

    def provenance(self) -> dict[str, Any]:
        """The paper whose tables were read."""
        return {"paper": self.paper, "file": f"fixtures/{FILE}"}

    def _findings(self, left: Quantity, side: Side, tasks: Sequence[str], judged: Judge) -> tuple[Finding, ...]:
        self._refuse_what_is_not_printed(left, side)
        of_tasks = [_finding(task, self.pair(left, side, task), judged) for task in tasks]
        average = self.averages(left, side, tasks)
        if average is None:
            return (*of_tasks, _mean_of_figures(of_tasks, judged))
        note = f"the average that table {average[0].table} prints"
        return (*of_tasks, replace(_finding(EVERY_TASK, average, judged), note=note))

    def averages(self, left: Quantity, side: Side, tasks: Sequence[str]) -> Pair | None:
        """The averages of the first table that prints those of both sides, over none but these tasks."""
        pairs = self._pairs(left, side, AVERAGE)
        return next((pair for pair in pairs if self._tasks_of(pair[0].table) <= set(tasks)), None)

    def pair(self, left: Quantity, side: Side, task: str) -> Pair | None:
        """The figures of one table where one prints both sides, else the first of each."""
        one_table = next(self._pairs(left, side, task), None)
        if one_table is not None or not isinstance(side, Quantity):
            return one_table
        mine, other = self.figure(left, task), self.figure(side, task)
        return None if mine is None or other is None else (mine, other)

    def _pairs(self, left: Quantity, side: Side, task: str) -> Iterator[Pair]:
        """Both sides as one table prints them, table by table."""
        for mine in self.figures(left, task):
            if not isinstance(side, Quantity):
                yield mine, PrintedFigure(side, 0.0, mine.table)
            else:
                yield from ((mine, other) for other in self.figures(side, task) if other.table == mine.table)

    def _tasks_of(self, table: str) -> set[str]:
        return set(printed_tables().query("paper == @self.paper and table == @table")["task"]) - {AVERAGE}

    def _refuse_what_is_not_printed(self, left: Quantity, side: Side) -> None:
        known = printed_tables().query("paper == @self.paper")[["metric", "method"]].drop_duplicates()
        printed = {(str(metric), str(method)) for metric, method in known.to_numpy()}
        for quantity in (one for one in (left, side) if isinstance(one, Quantity)):
            if (quantity.metric, quantity.method) not in printed:
                raise unknown_quantity(quantity, self.source, [str(Quantity(*pair)) for pair in sorted(printed)])


def _finding(task: str, pair: Pair | None, judged: Judge) -> Finding:
    if pair is None:
        return Finding(task, "absent", note="not printed")
    mine, other = pair
    found = difference_of(mine, other)
    outcome = judged(found, other.value)
    note = "the printed digits do not tell" if outcome == "unclear" else ""
    return Finding(task, outcome, mine.value, other.value, found.estimate, found.low, found.high, note=note)


def _mean_of_figures(findings: Sequence[Finding], judged: Judge) -> Finding:
    counted = [finding for finding in findings if finding.outcome != "absent"]
    if not counted:
        return Finding(EVERY_TASK, "absent", note="no task is printed")
    columns = np.array([[f.left, f.right, f.difference, f.low, f.high] for f in counted], dtype=float)
    left, right, difference, low, high = (float(mean) for mean in columns.mean(axis=0))
    outcome = judged(Interval(difference, low, high), right) if len(counted) == len(findings) else "unclear"
    note = f"the mean of {len(counted)} printed figures; no average is printed"
    if len(counted) < len(findings):
        note += f", and {len(findings) - len(counted)} more could turn it"
    return Finding(EVERY_TASK, outcome, left, right, difference, low, high, note=note)


def with_printed_numbers(comparison: Comparison, paper: str, *, same_model: bool = False) -> Comparison:
    """The comparison, with the paper's own difference beside every task for which it prints both sides.

    Args:
        comparison: of any source.
        paper: whose tables are read.
        same_model: whether the numbers are of the paper's own model, so that they should reproduce its numbers: the
            note of a task then says whether the printed one lies where one more run is expected.
    """
    left, right = comparison.left, comparison.right
    if left is None or right is None:
        return comparison
    tables, tasks = PrintedEvidence(paper), [finding.task for finding in comparison.tasks]

    def with_own(finding: Finding) -> Finding:
        together = finding.task == EVERY_TASK
        pair = tables.averages(left, right, tasks) if together else tables.pair(left, right, finding.task)
        if pair is None:
            return finding
        note = _reproduction(finding, pair[0].value) if same_model else ""
        notes = "; ".join(filter(None, (finding.note, note)))
        return replace(finding, printed=pair[0].value - pair[1].value, note=notes)

    return replace(comparison, findings=tuple(map(with_own, comparison.findings)))


def _reproduction(finding: Finding, printed: float) -> str:
    low, high = finding.predicted_low, finding.predicted_high
    if low is None or high is None:
        return ""
    where = "inside" if low <= printed <= high else "outside"
    return f"the printed {printed:.3g} lies {where} of {low:.3g} to {high:.3g}, where one more run is expected"
