"""Tables 1 to 4 of Rethinking: what was printed, what the authors' runs hold and what our trials gave, in one cell."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any

import pandas as pd

from icl_claims.evidence.author_logs import author_runs
from icl_claims.evidence.printed import AVERAGE, PERCENTAGES, printed_tables
from icl_claims.experiments.studies import title_of
from icl_claims.questions import TRAINED
from icl_claims.tasks import title_of_task

PAPER = "rethinking"
_TITLES = {
    1: "Accuracy and relative prediction alignment",
    2: "SimAOU and SimAM of finetuning and layer-causal finetuning (also table 1 of Revisited)",
    3: "Layer-causal finetuning with gradients clipped at 12 (also table 2 of Revisited)",
    4: "SimAOU and SimAM of finetuning and linearised finetuning (also table 3 of Revisited)",
}
AUTHORS = "authors"

Values = Mapping[str, Mapping[str, Mapping[str, float | None]]]


@dataclass(frozen=True)
class Number:
    """One number of a cell, and whose it is."""

    whose: str
    text: str


@dataclass(frozen=True)
class TableRow:
    """A quantity, with a cell of numbers for each column."""

    name: str
    cells: tuple[tuple[Number, ...], ...]


@dataclass(frozen=True)
class Table:
    """A table of the paper with ours beside it."""

    number: int
    title: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


def papers_tables(pictures: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """The four tables.

    Args:
        pictures: By profile, `values`: by task, metric and method, our number; fractions where the paper has percent.
    """
    ours = {profile: numbers.get("values") or {} for profile, numbers in pictures.items()}
    printed = printed_tables()
    printed = printed[printed["paper"] == PAPER]
    return [_table(number, printed[printed["table"] == str(number)], ours) for number in _TITLES]


def _table(number: int, printed: pd.DataFrame, ours: Mapping[str, Values]) -> Table:
    tasks = list(dict.fromkeys(printed["task"]))
    rows = []
    for metric, method in dict.fromkeys(zip(printed["metric"], printed["method"], strict=True)):
        figures = printed[(printed["metric"] == metric) & (printed["method"] == method)]
        by_task = dict(zip(figures["task"], figures["printed"], strict=True))
        cells = tuple(tuple(_numbers(by_task, tasks, task, metric, method, ours)) for task in tasks)
        rows.append(TableRow(f"{title_of(metric)}, {title_of(method)}", cells))
    columns = tuple(AVERAGE if task == AVERAGE else title_of_task(task) for task in tasks)
    return Table(number, _TITLES[number], columns, tuple(rows))


def _numbers(
    by_task: Mapping[str, str], tasks: list[str], task: str, metric: str, method: str, ours: Mapping[str, Values]
) -> Iterator[Number]:
    if task in by_task:
        yield Number("printed", by_task[task].removeprefix("0") if metric not in PERCENTAGES else by_task[task])
    of_cell = [one for one in tasks if one != AVERAGE] if task == AVERAGE else [task]
    for whose, values in {AUTHORS: _authors_values(), **ours}.items():
        found = [value for one in of_cell if (value := values.get(one, {}).get(metric, {}).get(method)) is not None]
        if found and len(found) == len(of_cell):
            yield Number(whose, _text(fmean(found), metric))


@cache
def _authors_values() -> dict[str, dict[str, dict[str, float]]]:
    """By task, metric and method, the mean over the authors' draws; of each, the first run that holds it."""
    runs = author_runs()
    overall = runs[(runs["weights"] == TRAINED) & runs["layer"].isna()]
    of_draws = overall.drop_duplicates(["task", "metric", "method", "seed", "permutation"])
    values: dict[str, dict[str, dict[str, float]]] = {}
    for (task, metric, method), rows in of_draws.groupby(["task", "metric", "method"]):
        values.setdefault(str(task), {}).setdefault(str(metric), {})[str(method)] = float(rows["value"].mean())
    return values


def _text(value: float, metric: str) -> str:
    if metric in PERCENTAGES:
        return f"{100 * value:.1f}"
    text = f"{abs(value):.4f}".removeprefix("0")
    return "\N{MINUS SIGN}" + text if value < 0 else text
