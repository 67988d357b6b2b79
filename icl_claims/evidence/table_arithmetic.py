"""Whether what is printed fits together: averages and their rows, figures printed twice, percentages and counts."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from icl_claims.claims import Comparison, Finding, Outcome
from icl_claims.evidence.grim import QUERIES, counts_behind
from icl_claims.evidence.printed import AVERAGE, printed_tables
from icl_claims.experiments.studies import title_of
from icl_claims.tasks import PAPERS_TASKS, TASKS, title_of_task

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
        for place, task in enumerate(PAPERS_TASKS)
    },
}
"""What else an average difference in accuracy relative to zero-shot may have been meant to be."""


def averages(*tables: PrintedTable) -> Comparison:
    """Whether each printed average is that of its row, to one unit in the last printed place.

    Args:
        tables: The tables whose averages are recomputed.
    """
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
    """Whether figures that several tables print agree, to one unit in the last place that both print.

    Args:
        papers: The papers whose tables are held against each other.
    """
    tables = printed_tables()
    of_papers = tables[tables["paper"].isin(papers)][["paper", "table"]].drop_duplicates().to_numpy()
    pairs = combinations([(str(paper), str(table)) for paper, table in of_papers], 2)
    found = [_printed_twice(one, other) for one, other in pairs]
    question = "figures that two tables print agree"
    return Comparison(question, tuple(finding for finding in found if finding is not None), upwards=None)


def percentages_are_counts(paper: str, table: str) -> Comparison:
    """Whether whole numbers of queries give all accuracies and RPAs of each task.

    Args:
        paper: A key of `icl_claims.claims.PAPERS`.
        table: The table that prints them.
    """
    cells = _cells(paper, table)
    findings = tuple(_counts(task, cells[cells["task"] == task]) for task in PAPERS_TASKS)
    return Comparison("whole numbers of queries give every printed percentage", findings, upwards=None)


def accuracy_gap(paper: str, printed: str, readings: Mapping[str, Gap]) -> Comparison:
    """Whether the difference in accuracy between in-context learning and finetuning is a printed one.

    Args:
        paper: The paper whose accuracies are read.
        printed: The percentage that is said to be their difference.
        readings: What "difference" may mean, by name.
    """
    tables = printed_tables()
    accuracy = tables[(tables["paper"] == paper) & (tables["metric"] == "accuracy")]
    values, units = (accuracy.pivot_table(index="method", columns="task", values=name) for name in ("value", "unit"))
    order = ["zero_shot", "finetuning", "in_context"], list(PAPERS_TASKS)
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
        of = f"{title_of(metric)} of {title_of(method)} on {title_of_task(task)}"
        note += f"; farthest apart: {of}, {first} and {second}"
    name = "{}, table {}, and {}, table {}".format(*one, *other)
    left, right = float(first), float(second)
    return Finding(name, "holds" if units[worst] <= 1 else "fails", left, right, left - right, note=note)


def _counts(task: str, cells: pd.DataFrame) -> Finding:
    columns = (cells["metric"], cells["method"], cells["printed"])
    printed = {(str(m), str(by)): str(text) for m, by, text in zip(*columns, strict=True)}
    found = counts_behind(printed, QUERIES[task], TASKS[task].labels)
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
