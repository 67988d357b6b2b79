"""How far the trials of a run are: a bar in a terminal, a line a trial elsewhere, nothing under -q."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

DONE = "done"
Report = Callable[[str, str, float], None]
"""Told the title of a trial, what it is doing, and how many trials are done, with a fraction for the one under way."""


@contextmanager
def progress_of_trials(total: int, *, quiet: bool) -> Iterator[Report]:
    """A report function for `total` trials."""
    console = Console(file=sys.stdout)
    if quiet or not total:
        yield lambda _title, _step, _done: None
    elif console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task("", total=total, step="starting")
            yield lambda title, step, done: bar.update(task, completed=done, step=f"{title}: {step}")
    else:
        yield _lines(total, console)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.fields[step]}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(elapsed_when_finished=False),
        TextColumn("left"),
        console=console,
    )


def _lines(total: int, console: Console) -> Report:
    start = time.perf_counter()

    def report(title: str, step: str, done: float) -> None:
        if step == DONE:
            spent = time.perf_counter() - start
            left = spent / done * (total - done)
            console.out(f"{title}: done, {spent:.0f} s elapsed, about {left:.0f} s left", highlight=False)

    return report
