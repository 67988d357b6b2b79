"""Evidence of the papers' printed tables: figures with as many digits as were printed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, cached_property
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from icl_claims.claims import EVERY_TASK, Comparison, Finding
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.evidence.numbers import BINOMIAL, ROUNDING, Numbers
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.metrics import METRICS
from icl_claims.questions import TRAINED, WHOLE_DEPTH, Compared, Quantity, Side, TwoSided
from icl_claims.statistics import proportions
from icl_claims.statistics.error_rates import Errors
from icl_claims.statistics.intervals import Interval
from icl_claims.statistics.proportions import Share

_FILE = "published/printed_tables.csv"
PERCENTAGES = {metric.name for metric in METRICS if metric.percent}
AVERAGE = "average"
PRINTED_AS = {"rounded": (-0.5, 0.5), "cut": (0.0, 1.0)}
"""A figure v whose last place is worth u stands for a number in [v + a u, v + b u)."""
QUERIES = {"sst2": 872, "sst5": 1101, "mr": 1066, "subj": 2000, "agnews": 2000, "cb": 56}
"""How many queries the authors' logs say each task was asked."""
COUNTED_IN = ("rethinking", "revisited")
"""The papers whose tables are of these queries, a run each."""
USUAL = (Errors().holds, Errors().fails)
_EXACT_PLACES = 9  # finer than any printed digit: figures one unit apart touch exactly, whatever floats make of them


@dataclass(frozen=True)
class PrintedFigure:
    """A figure as a table prints it, a percentage as a fraction; the unit is one in its last place, 0 if exact."""

    value: float
    unit: float
    table: str = ""


_Pair = tuple[PrintedFigure, PrintedFigure]


@cache
def printed_tables() -> pd.DataFrame:
    """Every cell of the papers' tables: paper, table, task, method, metric, printed, weights, value, unit.

    `printed` is the figure as text; percentages are fractions in `value` and `unit`. The task `average` is the
    tables' own mean over their tasks. `weights` is what an untrained model keeps of the trained one.
    """
    table = pd.read_csv(fixtures_folder() / _FILE, dtype={"printed": str, "table": str, "weights": str})
    table["weights"] = table["weights"].fillna(TRAINED)
    figures = [Decimal(text) for text in table["printed"]]
    scale = np.where(table["metric"].isin(PERCENTAGES), 0.01, 1.0)
    units = [10.0 ** int(figure.as_tuple().exponent) for figure in figures]
    table["value"], table["unit"] = np.array(figures, dtype=float) * scale, np.array(units) * scale
    return table


def difference_of(mine: PrintedFigure, other: PrintedFigure) -> Interval:
    """What the difference of two figures can be.

    Figures of one table are taken to have been printed in one way, both cut or both rounded; those of two tables each
    in its own. An end that cannot be reached is moved inwards by less than any digit.
    """
    ways = PRINTED_AS.values()
    pairs = zip(ways, ways, strict=True) if mine.table == other.table else product(ways, ways)
    lows, highs = [], []
    for (start, end), (others_start, others_end) in pairs:
        lows.append(mine.value + start * mine.unit - other.value - others_end * other.unit)
        highs.append(mine.value + end * mine.unit - other.value - others_start * other.unit)
    inwards = 10.0**-_EXACT_PLACES
    low = round(min(lows), _EXACT_PLACES) + (inwards if other.unit else 0.0)
    high = round(max(highs), _EXACT_PLACES) - (inwards if mine.unit else 0.0)
    return Interval(mine.value - other.value, low, high)


@dataclass(frozen=True)
class PrintedEvidence(TaskEvidence):
    """The tables of one paper, a key of `icl_claims.claims.PAPERS`."""

    paper: str
    source: str = "printed"

    def figures(self, quantity: Quantity, task: str) -> tuple[PrintedFigure, ...]:
        """The figure of a task in every table that prints it, in the order of the tables."""
        if (quantity.reference, quantity.layers) != (None, WHOLE_DEPTH):
            return ()
        return tuple(self._cells.get((task, quantity.metric.name, quantity.method.name, quantity.weights), ()))

    @cached_property
    def _cells(self) -> dict[tuple[str, ...], list[PrintedFigure]]:
        """The figures in the order of the tables, by task, metric, method and weights."""
        table, found = printed_tables(), dict[tuple[str, ...], list[PrintedFigure]]()
        rows = table[table["paper"] == self.paper].sort_values("table", kind="stable")
        fields = ["task", "metric", "method", "weights", "value", "unit", "table"]
        for *cell, value, unit, where in rows[fields].to_numpy():
            figure = PrintedFigure(float(value), float(unit), str(where))
            found.setdefault(tuple(map(str, cell)), []).append(figure)
        return found

    def figure(self, quantity: Quantity, task: str) -> PrintedFigure | None:
        """The figure of a task in the first table that prints it."""
        return next(iter(self.figures(quantity, task)), None)

    def numbers(self, question: TwoSided, tasks: Sequence[str], errors: Errors) -> Sequence[Numbers]:
        """Printed figures, of one table where one prints both, cut or rounded as they may have been.

        Raises:
            ClaimError: The paper prints no such quantity.
        """
        left, right = question.sides
        known = printed_tables().query("paper == @self.paper")[["metric", "method"]].drop_duplicates()
        printed = sorted(f"{metric} of {method}" for metric, method in known.to_numpy())
        for one in question.quantities:
            if f"{one.metric.name} of {one.method.name}" not in printed:
                self._refuse(one, printed)
        upwards = not isinstance(question, Compared) or question.upwards
        sides = (errors.holds, errors.fails) if upwards else (errors.fails, errors.holds)
        counted = self.paper in COUNTED_IN and all(one.metric.name == "accuracy" for one in question.quantities)
        of_tasks = [_numbers(task, self.pair(left, right, task), counted=counted, sides=sides) for task in tasks]
        if question.significantly:
            why = "a table prints no error, and so nothing of significance"
            of_tasks = [one if one.absent else replace(one, undecided=True, note=why) for one in of_tasks]
        average = self.averages(left, right, tasks)
        if average is None:
            return [*of_tasks, _mean_of_figures(of_tasks)]
        note = f"the average that table {average[0].table} prints"
        return [*of_tasks, replace(_numbers(EVERY_TASK, average), note=note)]

    def provenance(self) -> dict[str, Any]:
        """The paper whose tables were read."""
        return {"paper": self.paper, "file": f"fixtures/{_FILE}"}

    def averages(self, left: Quantity, side: Side, tasks: Sequence[str]) -> _Pair | None:
        """The averages of the first table that prints those of both sides, over none but these tasks."""
        tables = printed_tables().query("paper == @self.paper").groupby("table")["task"]
        tasks_of = {str(table): set(of_table) - {AVERAGE} for table, of_table in tables}
        pairs = ((mine, other) for mine, other in self._pairs(left, side, AVERAGE) if mine.table == other.table)
        return next((pair for pair in pairs if tasks_of[pair[0].table] <= set(tasks)), None)

    def pair(self, left: Quantity, side: Side, task: str) -> _Pair | None:
        """The figures of one table where one prints both sides, else the first of each."""
        return next(iter(self._pairs(left, side, task)), None)

    def _pairs(self, left: Quantity, side: Side, task: str) -> list[_Pair]:
        """Both sides as tables print them, those of one table first."""
        mine = self.figures(left, task)
        if not isinstance(side, Quantity):
            return [(one, PrintedFigure(side, 0.0, one.table)) for one in mine]
        return sorted(product(mine, self.figures(side, task)), key=lambda pair: pair[0].table != pair[1].table)


def _numbers(task: str, pair: _Pair | None, *, counted: bool = False, sides: tuple[float, float] = USUAL) -> Numbers:
    """What two figures say; shares of a known number of queries are also as uncertain as their counts."""
    if pair is None:
        return Numbers(task, absent="not printed")
    mine, other = pair
    shares = [Share(round(figure.value * QUERIES[task]), QUERIES[task]) for figure in pair * counted]
    if shares and all(abs(one.value - figure.value) <= figure.unit for one, figure in zip(shares, pair, strict=True)):
        interval, kind = proportions.difference(shares[0], shares[1], *sides), BINOMIAL
        words = f"shares of {QUERIES[task]} queries do not tell"
    else:
        interval, kind, words = difference_of(*pair), ROUNDING, "the printed digits do not tell"
    return Numbers(task, mine.value, other.value, interval=interval, kind=kind, unclear=words)


def _mean_of_figures(of_tasks: Sequence[Numbers]) -> Numbers:
    counted = [one for one in of_tasks if not one.absent]
    if not counted:
        return Numbers(EVERY_TASK, absent="no task is printed")
    bounds = [(one.left, one.right, one.interval.estimate, one.interval.low, one.interval.high) for one in counted]
    left, right, *interval = (float(mean) for mean in np.array(bounds).mean(axis=0))
    note = f"the mean of {len(counted)} printed figures; no average is printed"
    undecided = len(counted) < len(of_tasks)
    if undecided:
        note += f", and {len(of_tasks) - len(counted)} more could turn it"
    difference = Interval(*interval)
    return Numbers(EVERY_TASK, left, right, interval=difference, kind=counted[0].kind, note=note, undecided=undecided)


def with_printed_numbers(comparison: Comparison, paper: str, *, same_model: bool = False) -> Comparison:
    """The comparison, with the paper's own difference beside every task for which it prints both sides.

    Numbers of the same model as the paper's should reproduce its own: the note of a task then says whether the printed
    one lies where one more run is expected.
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
