"""Progress of a benchmark's trials in the terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

DONE = "done"
Report = Callable[[str, str, float], None]
"""Takes the title of a trial, what it is doing, and how many trials are done, with a fraction for the one under way."""


@contextmanager
def progress_of_trials(total: int, *, quiet: bool) -> Iterator[Report]:
    """A report function for `total` trials: a bar in a terminal, else a line for each that is done."""
    console = Console(file=sys.stdout)
    if quiet or not total:
        yield lambda _title, _step, _done: None
    elif console.is_terminal:
        left = (TimeRemainingColumn(elapsed_when_finished=False), TextColumn("left"))
        columns = (TextColumn("{task.fields[step]}"), BarColumn(bar_width=24), TimeElapsedColumn())
        with Progress(*columns, TextColumn("elapsed,"), *left, console=console) as bar:
            task = bar.add_task("", total=total, step="starting")
            yield lambda title, step, done: bar.update(task, completed=done, step=f"{title}: {step}")
    else:
        start = time.perf_counter()

        def print_line(title: str, step: str, done: float) -> None:
            if step == DONE:
                spent = time.perf_counter() - start
                left = spent / done * (total - done)
                console.out(f"{title}: done, {spent:.0f} s elapsed, about {left:.0f} s left", highlight=False)

        yield print_line
