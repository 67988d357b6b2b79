"""Whether what is printed fits together: averages and their rows, figures printed twice, percentages and counts.

Source: percentages are counts by the GRIM test (Brown and Heathers 2017) for means of integers, by integer programming,
since here many percentages share their integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product
from math import lcm
from typing import Any

import numpy as np
import pandas as pd
import scipy
from jaxtyping import Float

from icl_claims import metrics, tasks
from icl_claims.claims import Comparison, Finding, Outcome
from icl_claims.evidence.printed import AVERAGE, PRINTED_AS, QUERIES, printed_tables
from icl_claims.experiments.studies import IN_CONTEXT, STANDARD, ZERO_SHOT, title_of

PrintedTable = tuple[str, str]
"""A paper and one of its tables."""
Accuracies = Float[np.ndarray, " tasks"]
_ByMethod = Float[np.ndarray, "methods tasks"]
Gap = Callable[[Accuracies, Accuracies, Accuracies], float | np.floating[Any]]
"""A difference between in-context learning and finetuning, from accuracies of zero-shot, finetuning, in-context."""


def _mean_size(zero_shot: Accuracies, finetuning: Accuracies, in_context: Accuracies) -> float:
    return float(np.mean(np.abs(in_context - finetuning) / zero_shot))


PLAIN_GAP: dict[str, Gap] = {"mean size, relative to zero-shot": _mean_size}
OTHER_GAPS: dict[str, Gap] = {
    "signed mean, relative to zero-shot": lambda zsl, ft, icl: np.mean((icl - ft) / zsl),
    "median size, relative to zero-shot": lambda zsl, ft, icl: np.median(np.abs(icl - ft) / zsl),
    "sum of sizes over sum of zero-shot": lambda zsl, ft, icl: np.abs(icl - ft).sum() / zsl.sum(),
    "sum of differences over sum of zero-shot": lambda zsl, ft, icl: (icl - ft).sum() / zsl.sum(),
    "mean size, in points": lambda zsl, ft, icl: np.mean(np.abs(icl - ft)),
    "signed mean, in points": lambda zsl, ft, icl: np.mean(icl - ft),
    "mean size, relative to finetuning": lambda zsl, ft, icl: np.mean(np.abs(icl - ft) / ft),
    "mean size, relative to in-context learning": lambda zsl, ft, icl: np.mean(np.abs(icl - ft) / icl),
    "gain of in-context learning over zero-shot": lambda zsl, ft, icl: np.mean((icl - zsl) / zsl),
    "gain of finetuning over zero-shot": lambda zsl, ft, icl: np.mean((ft - zsl) / zsl),
    **{
        f"mean size, relative to zero-shot, without {task}": lambda *rows, left_out=place: _mean_size(
            *(np.delete(row, left_out) for row in rows)
        )
        for place, task in enumerate(tasks.PAPERS_TASKS)
    },
}
"""What else an average difference in accuracy relative to zero-shot may have been meant to be."""


def averages(*tables: PrintedTable) -> Comparison:
    """Whether each printed average is that of its row, to one unit in the last printed place."""
    findings = []
    for paper, table in tables:
        for (metric, method), row in _cells(paper, table).groupby(["metric", "method"], sort=False):
            printed = dict(zip(row["task"].astype(str), row["printed"], strict=True))
            average = printed.pop(AVERAGE, None)
            if average is not None:
                name = f"{paper}, table {table}: {title_of(str(metric))} of {title_of(str(method))}"
                findings.append(_average(name, [Fraction(text) for text in printed.values()], average))
    return Comparison("each printed average is that of its row", tuple(findings), upwards=None)


def figures_printed_twice(*papers: str) -> Comparison:
    """Whether figures that several tables of these papers print agree, to one unit in the last place of both."""
    tables = printed_tables()
    of_papers = tables[tables["paper"].isin(papers)][["paper", "table"]].drop_duplicates().to_numpy()
    pairs = combinations([(str(paper), str(table)) for paper, table in of_papers], 2)
    found = [_printed_twice(one, other) for one, other in pairs]
    question = "figures that two tables print agree"
    return Comparison(question, tuple(finding for finding in found if finding is not None), upwards=None)


def percentages_are_counts(paper: str, table: str) -> Comparison:
    """Whether whole numbers of queries give all accuracies and RPAs of each task, as a table of a paper prints them."""
    cells = _cells(paper, table)
    findings = tuple(_counts(task, cells[cells["task"] == task]) for task in tasks.PAPERS_TASKS)
    return Comparison("whole numbers of queries give every printed percentage", findings, upwards=None)


def accuracy_gap(paper: str, printed: str, readings: Mapping[str, Gap]) -> Comparison:
    """Whether a printed percentage is the difference in accuracy between in-context learning and finetuning.

    The accuracies are those of the paper; the readings are what "difference" may mean, by name.
    """
    tables = printed_tables()
    found = tables[(tables["paper"] == paper) & (tables["metric"] == metrics.accuracy.name)]
    values, units = (found.pivot_table(index="method", columns="task", values=name) for name in ("value", "unit"))
    order = ["zero_shot", "finetuning", "in_context"], list(tasks.PAPERS_TASKS)
    figures, digits = values.loc[order].to_numpy(), units.loc[order].to_numpy()
    findings = tuple(_gap(name, gap, figures, digits, printed) for name, gap in readings.items())
    return Comparison(f"the accuracies of {paper} give a difference of {printed} %", findings, upwards=None)


def _cells(paper: str, table: str) -> pd.DataFrame:
    tables = printed_tables()
    return tables[(tables["paper"] == paper) & (tables["table"] == table)]


def _unit(text: str) -> Fraction:
    return Fraction(1, 10 ** len(text.partition(".")[2]))


def _average(name: str, row: list[Fraction], printed: str) -> Finding:
    mean, average, unit = sum(row, Fraction(0)) / len(row), Fraction(printed), _unit(printed)
    cut, rounded = mean // unit * unit == average, (mean / unit + Fraction(1, 2)) // 1 * unit == average
    note = {(True, False): "cut, not rounded", (False, True): "rounded up", (False, False): "from other digits"}
    outcome: Outcome = "holds" if abs(mean - average) <= unit else "fails"
    said = note.get((cut, rounded), "")
    return Finding(name, outcome, float(mean), float(average), float(mean - average), note=said)


def _printed_twice(one: PrintedTable, other: PrintedTable) -> Finding | None:
    columns = ["task", "metric", "method"]
    both = _cells(*one).merge(_cells(*other), on=columns, suffixes=("", "_again"))
    if set(_cells(*one)["task"]) != set(_cells(*other)["task"]):
        both = both[both["task"] != AVERAGE]
    if both.empty:
        return None
    texts = list(zip(both["printed"], both["printed_again"], strict=True))
    units = [abs(Fraction(a) - Fraction(b)) / max(_unit(a), _unit(b)) for a, b in texts]
    worst = max(range(len(units)), key=units.__getitem__)
    first, second = texts[worst]
    note = f"{len(texts)} figures, {sum(unit == 0 for unit in units)} of them equal"
    if units[worst]:
        task, metric, method = both[columns].iloc[worst]
        of = f"{title_of(metric)} of {title_of(method)} on {tasks.title_of_task(task)}"
        note += f"; farthest apart: {of}, {first} and {second}"
    name = "{}, table {}, and {}, table {}".format(*one, *other)
    left, right = float(first), float(second)
    return Finding(name, "holds" if units[worst] <= 1 else "fails", left, right, left - right, note=note)


def _counts(task: str, cells: pd.DataFrame) -> Finding:
    columns = (cells["metric"], cells["method"], cells["printed"])
    printed = {(str(m), str(by)): str(text) for m, by, text in zip(*columns, strict=True)}
    found = counts_behind(printed, QUERIES[task], tasks.TASKS[task].labels)
    if found is None:
        return Finding(task, "fails", note="no whole numbers give these figures, cut or rounded")
    zero_shot, in_context, finetuning = found.right
    (shared, corrections), (shared_errors, errors) = found.corrections, found.errors
    note = (
        f"{found.reading}, {'only with' if found.alone else 'such as'} {zero_shot} right by zero-shot, {finetuning} "
        f"finetuned and {in_context} in context, of {QUERIES[task]}; {shared} of {corrections} corrections and "
        f"{shared_errors} of {errors} errors shared"
    )
    return Finding(task, "holds", note=note)


def _gap(name: str, gap: Gap, figures: _ByMethod, digits: _ByMethod, printed: str) -> Finding:
    """A reading, with what is left open by the digits of the accuracies: each moved alone, and the moves added up."""
    found, stated, unit = float(gap(*figures)), float(printed) / 100, float(_unit(printed)) / 100
    low = high = found
    for place in np.ndindex(figures.shape):
        moved = [figures.copy(), figures.copy()]
        moved[0][place] -= digits[place] / 2
        moved[1][place] += digits[place]
        ends = [float(gap(*one)) - found for one in moved]
        low, high = low + min(0.0, *ends), high + max(0.0, *ends)
    outcome: Outcome = "holds" if abs(found - stated) < unit else "unclear" if low <= stated <= high else "fails"
    note = f"{found:.2%} instead of {printed} %"
    return Finding(name, outcome, found, stated, found - stated, low - stated, high - stated, note=note)


READINGS = {**PRINTED_AS, "cut or rounded": (-0.5, 1.0)}
"""How far below and above a figure the number may lie, in units of its last place; the strictest readings first."""
_Said = tuple[int, int, int]
"""What zero-shot, in-context learning and finetuning say: 0 for the true label, 1, 2, 3 for different wrong ones."""
_Row = Float[np.ndarray, " kinds"]
_Printed = Mapping[tuple[str, str], str]
"""Figures in percent, with the digits that were printed, by the names of a metric and a method."""


@dataclass(frozen=True)
class Counts:
    """Numbers of queries that give every printed percentage of a task.

    Args:
        reading: The strictest way of printing under which there are such numbers.
        of_kinds: Number of queries of each kind, in one solution.
        right: Numbers of right answers in it, by zero-shot, in-context learning and finetuning.
        corrections: Changes to the true label that both make, and that either makes.
        errors: Changes to one wrong label that both make, and all changes to wrong labels.
        alone: Whether no other numbers right, of corrections and of errors would do.
    """

    reading: str
    of_kinds: Mapping[_Said, int]
    right: tuple[int, ...]
    corrections: tuple[int, ...]
    errors: tuple[int, ...]
    alone: bool


def counts_behind(printed: _Printed, queries: int, labels: int) -> Counts | None:
    """The numbers of so many queries behind the accuracies and the RPA of one task with so many labels.

    A change counts with its new label, as in the authors' code: a query that both methods change to different labels
    is two changes.

    Returns:
        One solution under the strictest reading that has any; None where no reading has.
    """
    kinds = list(_kinds(labels))
    for reading in READINGS:
        constraints = _constraints(printed, queries, kinds, reading)
        solution = _solve(constraints, np.zeros(len(kinds)))
        if solution is not None:
            seen = _counted(kinds)
            right, corrections, errors = (tuple(int(row @ solution) for row in rows) for rows in seen)
            alone = all(_is_fixed(constraints, row) for rows in seen for row in rows)
            of_kinds = {kind: int(number) for kind, number in zip(kinds, solution, strict=True)}
            return Counts(reading, of_kinds, right, corrections, errors, alone)
    return None


def _kinds(labels: int) -> Iterator[_Said]:
    """Every kind of query, wrong labels being numbered in the order in which they are given."""
    for zero_shot, in_context, finetuned in product(range(2), range(min(labels, 3)), range(min(labels, 4))):
        if in_context <= zero_shot + 1 and finetuned <= max(zero_shot, in_context) + 1:
            yield zero_shot, in_context, finetuned


def _counted(kinds: list[_Said]) -> tuple[list[_Row], list[_Row], list[_Row]]:
    """What is right, corrections and errors, as rows to be multiplied with the number of queries of each kind."""
    zero_shot, in_context, finetuned = np.array(kinds).T
    by_context, by_finetuning = in_context != zero_shot, finetuned != zero_shot
    shared = by_context & by_finetuning & (in_context == finetuned)
    corrected, fixed = by_context & (in_context == 0), by_finetuning & (finetuned == 0)
    changes = by_context.astype(float) + by_finetuning - shared
    corrections = corrected.astype(float) + fixed - (corrected & fixed)
    shared_corrections = (corrected & fixed).astype(float)
    right = [(answers == 0).astype(float) for answers in (zero_shot, in_context, finetuned)]
    return right, [shared_corrections, corrections], [shared - shared_corrections, changes - corrections]


def _constraints(printed: _Printed, queries: int, kinds: list[_Said], reading: str) -> scipy.optimize.LinearConstraint:
    """Every figure as two inequalities between whole numbers, and the number of queries."""
    counted, everything = _counted(kinds), np.ones(len(kinds))
    (zero_shot, in_context, finetuned), corrections, errors = counted
    shares = {
        (metrics.accuracy.name, ZERO_SHOT.name): (zero_shot, everything),
        (metrics.accuracy.name, IN_CONTEXT.name): (in_context, everything),
        (metrics.accuracy.name, STANDARD.name): (finetuned, everything),
        (metrics.rpa.name, STANDARD.name): (corrections[0] + errors[0], corrections[1] + errors[1]),
        (metrics.rpa_correct.name, STANDARD.name): (corrections[0], corrections[1]),
        (metrics.rpa_incorrect.name, STANDARD.name): (errors[0], errors[1]),
    }
    rows, least, most = [everything], [float(queries)], [float(queries)]
    for cell, text in printed.items():
        part, whole = shares[cell]
        low, high = ((Fraction(text) + Fraction(bound) * _unit(text)) / 100 for bound in READINGS[reading])
        scale = lcm(low.denominator, high.denominator)
        rows += [scale * part - int(scale * low) * whole, scale * part - int(scale * high) * whole]
        least, most = [*least, 0.0, -np.inf], [*most, np.inf, -1.0]
    return scipy.optimize.LinearConstraint(np.array(rows), least, most)


def _solve(constraints: scipy.optimize.LinearConstraint, least: _Row) -> _Row | None:
    """Whole numbers within the constraints for which `least` times them is least; None where there are none."""
    whole, at_least_none = np.ones(len(least), dtype=int), scipy.optimize.Bounds(0, np.inf)
    found = scipy.optimize.milp(least, constraints=constraints, integrality=whole, bounds=at_least_none)
    return None if found.x is None else np.round(found.x)


def _is_fixed(constraints: scipy.optimize.LinearConstraint, row: _Row) -> bool:
    """Whether every solution counts the same."""
    least, most = _solve(constraints, row), _solve(constraints, -row)
    return least is not None and most is not None and int(row @ least) == int(row @ most)
