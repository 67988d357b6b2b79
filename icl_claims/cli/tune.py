"""Find the learning rates of a model, print them, and write them where runs find them."""

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from icl_claims.experiments.plan import Choices, resolve
from icl_claims.experiments.profiles import rates_file, write_rates
from icl_claims.experiments.tuning import Search, Tuned, held_out_prompts, tune
from icl_claims.models import LanguageModel
from icl_claims.tasks import TaskData


def tune_and_print(
    choices: Choices, *, seeds: tuple[int, ...], held_out: int, write: Path | None, as_json: bool
) -> None:
    """Find a learning rate for every chosen task.

    Raises:
        IclClaimsError: An argument makes no sense, or model or data cannot be read, or the rates cannot be written.
    """
    err = Console(stderr=True)
    say = partial(err.print, highlight=False)
    run, model = resolve(choices, say=say), choices.load_model(say)
    search, examples = Search(run.k, run.protocol.calibration, seeds, held_out), run.data
    for data in examples.values():
        held_out_prompts(model, data, search, seeds[0])  # what cannot be asked is said before anything is run
    file = write or rates_file(model.digest)
    write_rates(file, model.digest, model.name, {})  # so is a place that cannot be written
    found = _tune_all(model, examples, search, err)
    entries = {task: _entry(tuned, search, examples[task]) for task, tuned in found.items()}
    write_rates(file, model.digest, model.name, entries)
    if as_json:
        written = {"model": model.digest, "name": model.name, "file": str(file), "tasks": entries}
        sys.stdout.write(json.dumps(written, indent=1) + "\n")
    else:
        _print(found, examples, search, model.name)
        use = "runs of this model use them" if write is None else f"use them with --rates {file}"
        Console().print(f"Written to {file}; {use}.", style="dim", soft_wrap=True, highlight=False)


def _entry(tuned: Tuned, search: Search, data: TaskData) -> dict[str, Any]:
    """What is written about one task: the rate, and how it was found."""
    return {
        "learning_rate": tuned.learning_rate,
        "accuracies": {f"{rate:g}": round(accuracy, 4) for rate, accuracy in tuned.accuracies.items()},
        "k": search.k,
        "seeds": list(search.seeds),
        "held_out": search.held_out,
        "calibration": search.calibration,
        "data": data.source,
        "data_digest": data.digest,
    }


def _tune_all(model: LanguageModel, examples: Mapping[str, TaskData], search: Search, err: Console) -> dict[str, Tuned]:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn(), TimeRemainingColumn())
    found = {}
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("starting", total=float(len(examples)))
        for number, (task, data) in enumerate(examples.items()):

            def report(what: str, done: float, title: str = data.task.title, before: int = number) -> None:
                progress.update(bar, description=f"{title}: {what}", completed=before + done)

            found[task] = tune(model, data, search, report)
    return found


def _print(found: Mapping[str, Tuned], examples: Mapping[str, TaskData], search: Search, name: str) -> None:
    table = Table(
        "task",
        *(f"{rate:g}" for rate in search.grid),
        "learning rate",
        title=(
            f"{name}: accuracy on up to {search.held_out} held-out training examples by learning rate, "
            f"{search.k} demonstrations, draws {', '.join(map(str, search.seeds))}, calibration {search.calibration}"
        ),
    )
    for task, tuned in found.items():
        accuracies = (f"{accuracy:.3f}" for accuracy in tuned.accuracies.values())
        table.add_row(examples[task].task.title, *accuracies, f"{tuned.learning_rate:g}")
    Console().print(table)
