"""What is found on training examples: the learning rates of a model, and how it is prompted."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from icl_claims.experiments import plan, profiles, prompting_search, trial, tuning
from icl_claims.experiments.prompting_search import Learning, Prompting
from icl_claims.models import LanguageModel
from icl_claims.tasks import TaskData

Found = TypeVar("Found")


def _ready(choices: profiles.Choices) -> tuple[plan.Run, LanguageModel]:
    load = cache(partial(choices.load_model, partial(Console(stderr=True).print, highlight=False)))
    return plan.resolve(choices, load=load), load()


def _task_by_task(
    examples: Mapping[str, TaskData], find: Callable[[TaskData, trial.Progress], Found]
) -> dict[str, Found]:
    """What is found for every task, behind a bar on the error stream."""
    found = dict[str, Found]()
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("starting", total=float(len(examples)))
        for number, (task, data) in enumerate(examples.items()):

            def report(what: str, done: float, title: str = data.task.title, before: int = number) -> None:
                progress.update(bar, description=f"{title}: {what}", completed=before + done)

            found[task] = find(data, report)
    return found


def tune_and_print(
    choices: profiles.Choices, *, seeds: tuple[int, ...], held_out: int, write: Path | None, as_json: bool
) -> None:
    """Find a learning rate for every chosen task.

    Raises:
        IclClaimsError: An argument makes no sense, or model or data cannot be read, or the rates cannot be written.
    """
    run, model = _ready(choices)
    search, examples = tuning.Search(run.k, run.protocol.calibration, seeds, held_out), run.data
    for data in examples.values():
        tuning.held_out_prompts(model, data, search, seeds[0])  # what cannot be asked is said before anything is run
    file = write or tuning.rates_file(model.digest)
    tuning.write_rates(file, model.digest, model.name, {})  # so is a place that cannot be written
    found = _task_by_task(examples, lambda data, report: tuning.tune(model, data, search, report))
    entries = {task: _rate_entry(tuned, search, examples[task]) for task, tuned in found.items()}
    tuning.write_rates(file, model.digest, model.name, entries)
    if as_json:
        written = {"model": model.digest, "name": model.name, "file": str(file), "tasks": entries}
        sys.stdout.write(json.dumps(written, indent=1) + "\n")
    else:
        _print_rates(found, examples, search, model.name)
        use = "runs of this model use them" if write is None else f"use them with --rates {file}"
        Console().print(f"Written to {file}; {use}.", style="dim", soft_wrap=True, highlight=False)


def _rate_entry(tuned: tuning.Tuned, search: tuning.Search, data: TaskData) -> dict[str, Any]:
    """What is written about one task: the rate, and how it was found."""
    return {
        "learning_rate": tuned.learning_rate,
        "accuracies": {f"{rate:g}": round(accuracy, 4) for rate, accuracy in tuned.accuracies.items()},
        "k": search.k,
        "seeds": list(search.seeds),
        "held_out": search.held_out,
        "calibration": search.calibration,
        "chance": round(tuned.chance, 4),
        "doubts": list(tuned.doubts),
        "data": data.source,
        "data_digest": data.digest,
    }


def _print_rates(
    found: Mapping[str, tuning.Tuned], examples: Mapping[str, TaskData], search: tuning.Search, name: str
) -> None:
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
    for task, tuned in found.items():
        for doubt in tuned.doubts:
            Console().print(f"{examples[task].task.title}: {doubt}.", style="yellow", highlight=False)


def tune_prompting_and_print(
    choices: profiles.Choices, *, tried: Mapping[str, tuple[Any, ...]], held_out: int, as_json: bool
) -> None:
    """Find k, separator and calibration under which a model learns the most tasks in context.

    Args:
        choices: model, data and tasks.
        tried: the k, separators, calibrations and seeds of the search, by field.
        held_out: how many training examples are asked in each draw, at most.
        as_json: whether everything found is printed as JSON instead of tables.

    Raises:
        IclClaimsError: An argument makes no sense, or model or data cannot be read.
    """
    search = prompting_search.PromptingSearch(**tried, held_out=held_out, batch=choices.profile.queries or held_out)
    run, model = _ready(choices)
    for data in run.data.values():
        search.check(model, data)
    found = _task_by_task(
        run.data, lambda data, report: prompting_search.learning_by_prompting(model, data, search, report)
    )
    ways = prompting_search.ranked(found)
    if as_json:
        told = {"model": model.digest, "name": model.name, **asdict(search), "best": asdict(ways[0])}
        told["data"] = {task: {"source": data.source, "digest": data.digest} for task, data in run.data.items()}
        told["ways"] = [_way_entry(found, way) for way in ways]
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    else:
        _print_prompting(found, ways, search, {task: data.task.title for task, data in run.data.items()}, model.name)


def _way_entry(found: Mapping[str, Mapping[Prompting, Learning]], way: Prompting) -> dict[str, Any]:
    learned = prompting_search.learned_tasks(found, way)
    tasks = {
        task: {**{name: round(value, 6) for name, value in asdict(of[way]).items()}, "learned": task in learned}
        for task, of in found.items()
    }
    margin = round(prompting_search.mean_margin(found, way), 6)
    return {**asdict(way), "learned": list(learned), "mean_margin": margin, "tasks": tasks}


def _print_prompting(
    found: Mapping[str, Mapping[Prompting, Learning]],
    ways: Sequence[Prompting],
    search: prompting_search.PromptingSearch,
    titles: Mapping[str, str],
    name: str,
) -> None:
    table = Table(
        *("k", "separator", "calibration", *titles.values(), "learned", "mean margin"),
        title=(
            f"{name}: accuracy in context (zero-shot, most frequent label) on up to {search.held_out} training "
            f"examples of each of {len(search.seeds)} draws; * beats both"
        ),
    )
    for way in ways:
        cells = (
            f"{one.in_context:.2f}{'*' if one.learns else ''} ({one.zero_shot:.2f}, {one.most_frequent:.2f})"
            for one in (found[task][way] for task in titles)
        )
        learned, margin = prompting_search.learned_tasks(found, way), prompting_search.mean_margin(found, way)
        table.add_row(
            *(str(way.k), way.separator, way.calibration, *cells, f"{len(learned)} of {len(titles)}", f"{margin:.3f}")
        )
    console, best = Console(), ways[0]
    console.print(table)
    names = ", ".join(titles[task] for task in prompting_search.learned_tasks(found, best)) or "no task"
    console.print(f"Learned in context: {names}.", style="bold", highlight=False)
    options = f"--k {best.k} --separator {best.separator} --calibration {best.calibration}"
    console.print(f"Named in a trial by {options}; in pytest with --claims-.", style="dim", highlight=False)
