"""Tables 1 to 4 of Rethinking: what was printed, what the authors' runs hold and what our trials gave, in one cell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any

import pandas as pd

from icl_claims.evidence.author_runs import author_runs
from icl_claims.evidence.printed import AVERAGE, PERCENTAGES, printed_tables
from icl_claims.experiments.studies import title_of
from icl_claims.questions import TRAINED
from icl_claims.report.words import MINUS
from icl_claims.tasks import title_of_task

_TITLES = {
    1: "Accuracy and relative prediction alignment",
    2: "SimAOU and SimAM of finetuning and layer-causal finetuning (also table 1 of Revisited)",
    3: "Layer-causal finetuning with gradients clipped at 12 (also table 2 of Revisited)",
    4: "SimAOU and SimAM of finetuning and linearised finetuning (also table 3 of Revisited)",
}

_Values = Mapping[tuple[str, str, str], float | None]  # by task, metric and method


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
    values: dict[str, _Values] = {"authors": _authors_values()}
    for profile, numbers in pictures.items():
        values[profile] = {
            (task, metric, method): value
            for task, by_metric in (numbers.get("values") or {}).items()
            for metric, by_method in by_metric.items()
            for method, value in by_method.items()
        }
    printed = printed_tables().query("paper == 'rethinking'")
    return [_table(number, printed[printed["table"] == str(number)], values) for number in _TITLES]


def _table(number: int, printed: pd.DataFrame, values: Mapping[str, _Values]) -> Table:
    tasks = list(dict.fromkeys(printed["task"]))
    rows = []
    for metric, method in dict.fromkeys(zip(printed["metric"], printed["method"], strict=True)):
        figures = printed[(printed["metric"] == metric) & (printed["method"] == method)]
        by_task = dict(zip(figures["task"], figures["printed"], strict=True))
        cells = tuple(tuple(_numbers(by_task, tasks, (task, metric, method), values)) for task in tasks)
        rows.append(TableRow(f"{title_of(metric)}, {title_of(method)}", cells))
    columns = tuple(AVERAGE if task == AVERAGE else title_of_task(task) for task in tasks)
    return Table(number, _TITLES[number], columns, tuple(rows))


def _numbers(
    printed: Mapping[str, str], tasks: Sequence[str], cell: tuple[str, str, str], values: Mapping[str, _Values]
) -> Iterator[Number]:
    task, metric, method = cell
    if task in printed:
        yield Number("printed", printed[task] if metric in PERCENTAGES else printed[task].removeprefix("0"))
    of_cell = [one for one in tasks if one != AVERAGE] if task == AVERAGE else [task]
    for whose, known in values.items():
        found = [value for one in of_cell if (value := known.get((one, metric, method))) is not None]
        if found and len(found) == len(of_cell):
            yield Number(whose, _text(fmean(found), metric))


@cache
def _authors_values() -> _Values:
    """The mean over the authors' draws; of each, the first run that holds it."""
    runs = author_runs()
    overall = runs[(runs["weights"] == TRAINED) & runs["layer"].isna()]
    of_draws = overall.drop_duplicates(["task", "metric", "method", "seed", "permutation"])
    return dict(of_draws.groupby(["task", "metric", "method"])["value"].mean())


def _text(value: float, metric: str) -> str:
    if metric in PERCENTAGES:
        return f"{100 * value:.1f}"
    text = f"{abs(value):.4f}".removeprefix("0")
    return MINUS + text if value < 0 else text
