"""What one trial measured, as tables that fit the terminal."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.studies import IN_CONTEXT, ZERO_SHOT
from icl_claims.metrics import METRICS, Metric, PredictionMetric, accuracy, changed, most_frequent_label
from icl_claims.questions import Named, Quantity

SHOWN_OF_PROMPTED = (accuracy, changed, most_frequent_label)
NUMBER_WIDTH = 9  # of three digits with a sign, a point and an exponent
METHODS_SHARE = 4  # of the width, at most, has the column of methods, whose titles may be long
BORDER, CELL_BORDER = 1, 3  # rich draws a line at the left, and a line and two spaces a cell

_Rows = dict[str, dict[str, float]]


def means(result: TrialResult) -> _Rows:
    """One number per method and metric, over queries, layers and steps; metrics that a method lacks are left out."""
    return {
        method.name: {one.name: value for one in _metrics(result) if (value := _mean(result, one, method)) is not None}
        for method in result.measured
    }


def print_trial(console: Console, result: TrialResult, rates: str) -> None:
    """Print what a trial measured.

    Args:
        console: A console; its width decides how many metrics stand side by side.
        result: Result of the trial.
        rates: Where its learning rates come from.
    """
    spec, shown = result.spec, result.provenance
    console.print(
        f"{spec.task}: {len(result.gold)} queries, {shown['demonstrations_in_context']} of {spec.k} "
        f"demonstrations in context, seed {spec.seed}, {shown['model']}, {spec.weights} weights, "
        f"{shown['data']} data, calibration {spec.protocol.calibration}",
        style="bold",
        highlight=False,
    )
    for table in _tables(_in_print(result), list(_titles(_metrics(result)).values()), console.width):
        console.print(table)
    for method, reason in result.failures.items():
        console.print(f"{method}: {reason}", style="yellow")
    for note in shown["notes"]:
        console.print(note, style="yellow")
    console.print(
        "Changes are counted against zero-shot, similarities against in-context learning. "
        f"Learning rates: {rates}. Time: {_spent(result.seconds)}.\n",
        style="dim",
        highlight=False,
    )


def _in_print(result: TrialResult) -> _Rows:
    """The means under titles instead of names."""
    methods, metrics = _titles(result.measured), _titles(_metrics(result))
    return {
        methods[name]: {metrics[one]: row[one] for one in metrics if one in row} for name, row in means(result).items()
    }


def _titles(things: Iterable[Named]) -> dict[str, str]:
    """By name the title, with the unit of a metric; the name too where two have one title."""
    titles = {one.name: f"{one.title} ({unit})" if (unit := getattr(one, "unit", "")) else one.title for one in things}
    shared = Counter(titles.values())
    return {name: title if shared[title] == 1 else f"{title} ({name})" for name, title in titles.items()}


def _metrics(result: TrialResult) -> tuple[Metric, ...]:
    return (*METRICS, *result.spec.metrics)


def _tables(rows: _Rows, order: Sequence[str], width: int) -> Iterator[Table]:
    metrics = [metric for metric in order if any(metric in row for row in rows.values())]
    of_methods = min(max(map(len, rows), default=0), width // METHODS_SHARE)
    for side_by_side in _that_fit(metrics, width - BORDER - CELL_BORDER - of_methods):
        table = Table(Column("method", overflow="fold", max_width=of_methods))
        for metric in side_by_side:
            table.add_column(metric, justify="right", min_width=_widest_word(metric))
        for method, row in rows.items():
            if any(metric in row for metric in side_by_side):
                table.add_row(method, *(f"{row[metric]:.3g}" if metric in row else "" for metric in side_by_side))
        yield table


def _that_fit(metrics: Sequence[str], width: int) -> Iterator[list[str]]:
    waiting, left = list[str](), width
    for metric in metrics:
        needed = max(_widest_word(metric), NUMBER_WIDTH) + CELL_BORDER
        if waiting and needed > left:
            yield waiting
            waiting, left = [], width
        waiting.append(metric)
        left -= needed
    if waiting:
        yield waiting


def _widest_word(metric: str) -> int:
    return max(map(len, metric.split()))


def _spent(seconds: dict[str, float]) -> str:
    """`learn 12.0 s, answer 3.1 s`: what was timed, without the names of methods."""
    spent: dict[str, float] = {}
    for name, of_one in seconds.items():
        what = name.partition(" ")[0]
        spent[what] = spent.get(what, 0.0) + of_one
    return ", ".join(f"{what} {of_all:.1f} s" for what, of_all in spent.items())


def _mean(result: TrialResult, metric: Metric, method: Named) -> float | None:
    prompted = method in (ZERO_SHOT, IN_CONTEXT)
    if prompted and isinstance(metric, PredictionMetric) and metric not in SHOWN_OF_PROMPTED:
        return None
    values = result.column(Quantity(metric, method))
    counted = None if values is None else values[~np.isnan(values)]
    return None if counted is None or not len(counted) else round(float(counted.mean()), 6)
