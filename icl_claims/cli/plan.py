"""What the claims of a folder ask of trials, and what these cost, before any is run: as tables, or as JSON."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from icl_claims.errors import UsageError
from icl_claims.evidence.recipe import Part, Recipe, studies_of
from icl_claims.experiments import plan, profiles
from icl_claims.experiments.disturbance import DISTURBED
from icl_claims.experiments.estimate import Cost, Estimate, estimate
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.models import LanguageModel
from icl_claims.pytest_plugin.claims_of_folder import collect_claims
from icl_claims.pytest_plugin.collection import asked_of_trials, selected_claims
from icl_claims.report.words import duration

_GIB = 1024**3
NAMED = 3
"""How many methods are named in print; all are in the JSON."""
TRAINED = "trained"
Costs = Sequence[tuple[Part, Cost]]


def plan_and_print(folder: Path, choices: profiles.Choices, *, as_json: bool) -> None:
    """Find what claims ask of trials, count the work, measure a little of it, and print all.

    Raises:
        UsageError: No claim lies in the folder, or none asks for a trial.
        IclClaimsError: An argument makes no sense, or model or data cannot be read.
    """
    say = partial(Console(stderr=True).print, highlight=False)
    _ = choices.chosen_tasks(), choices.chosen_studies(), choices.source, choices.model_reference  # soon said
    config = collect_claims(folder).config
    asked = asked_of_trials(config)
    load = cache(partial(choices.load_model, say))
    run = plan.resolve(choices, load=load, own=asked.own_tasks, papers=asked.papers_tasks)
    recipe = Recipe(run, studies_of(run, asked.own_study), selected_claims(config, ""))
    if not recipe.parts:
        on = ", ".join(task.title for task in run.tasks)
        todo = "Name other tasks, another folder, or further studies: ⟨studies⟩ all."
        raise UsageError(f"No claim in {folder} asks for trials on {on}", todo=todo)
    found = estimate(run, load(), [part.specs for part in recipe.parts], TrialStore())
    if as_json:
        sys.stdout.write(json.dumps(_record(recipe, found, load()), indent=1) + "\n")
    else:
        _print(recipe, found, load())


def _record(recipe: Recipe, found: Estimate, model: LanguageModel) -> dict[str, Any]:
    """The recipe as plain data, with what it costs: time in seconds, memory in bytes."""
    costs = list(zip(recipe.parts, found.parts, strict=True))
    places: dict[Any, dict[str, Any]] = {}
    for part, cost in costs:
        record = places.setdefault(part.place, part.record() | {"rounds": []})
        draws = [[spec.seed, spec.permutation] for spec in part.specs]
        record["rounds"].append({"look": part.look, "draws": draws} | _counts(cost))
    rounds = [{"look": look} | _counts(_sum(of)) for look, of in _by_look(recipe, costs).items()]
    return {
        "model": model.name,
        "device": str(model.device),
        "dtype": recipe.run.where["dtype"],
        "learning_rates": recipe.run.rates.origin,
        "fixed": recipe.run.choices.fixed,
        "claims": sorted(_claims(recipe.parts)),
        "rounds": rounds,
        "asked": list(places.values()),
        "total": asdict(found.total.work),
        **_counts(found.total),
        "memory": dict(found.memory),
        "free": found.free,
        "speed": asdict(found.speed),
    }


def _print(recipe: Recipe, found: Estimate, model: LanguageModel) -> None:
    console = Console()
    looks = _by_look(recipe, list(zip(recipe.parts, found.parts, strict=True)))
    many = len(_claims(recipe.parts))
    console.print(f"What {many} claim{'s ask' if many > 1 else ' asks'} of trials", style="bold", highlight=False)
    console.print(_methods(recipe))
    where = f"{model.name} on {model.device} in {recipe.run.where['dtype']}"
    console.print(f"Missing trials of {where}, and about how long they take", style="bold", highlight=False)
    console.print(_rounds(recipe, looks))
    work, held = found.total.work, sum(found.memory.values()) / _GIB
    console.print(
        f"{work.trials} trials, of which {found.total.stored} are cached: {work.prefix_tokens:,} tokens of prompts, "
        f"{work.answered_tokens:,} of queries answered by all methods, {work.steps:,} learning steps. About {held:.2f} "
        f"GiB are held at once, of which {found.memory['weights'] / _GIB:.2f} are the weights, which are loaded now; "
        f"{found.free / _GIB:.1f} GiB are free besides. Learning rates: {recipe.run.rates.origin}.",
        style="dim",
        highlight=False,
    )
    console.print(_how_long(recipe, looks), style="bold", highlight=False)
    if (waited := found.speed.waited) > DISTURBED:
        said = f"For {waited:.0%} of the measurement its threads waited for a processor that other programs used"
        console.print(f"{said}: on a quiet machine the run takes less.", style="yellow", highlight=False)


def _how_long(recipe: Recipe, looks: Mapping[int, Costs]) -> str:
    """How long the first look at all claims takes, and all looks."""
    first, *_ = until = [*accumulate(_sum(of).seconds for of in looks.values())]
    last = recipe.looks[-1]
    if not any(cost.missing for of in looks.values() for _, cost in of):
        return "Everything is cached: no trial is run."
    if recipe.run.choices.fixed:
        draws = f"{last} draw{'s' * (last > 1)}"
        return f"About {duration(until[-1])}: {draws} of each task, as was asked for, whatever they say."
    most = f"at most {duration(until[-1])}, if nothing is decided before {last} draws"
    return f"The first look at every claim takes about {duration(first)} in all, the cheapest first; {most}."


def _methods(recipe: Recipe) -> Table:
    """Which methods are asked for on which tasks and weights, and by how many claims."""
    besides = Column("besides zero-shot and in-context learning")
    table = Table(Column("tasks", max_width=14), Column("weights", max_width=11), besides, Column("claims"))
    alike: dict[tuple[bool, str, tuple[str, ...]], list[Part]] = {}
    for part in (part for part in recipe.parts if part.look == recipe.looks[0]):
        names = tuple(method.title for method in part.specs[0].methods)
        alike.setdefault((part.apart, part.specs[0].weights, names), []).append(part)
    for (apart, weights, names), parts in sorted(alike.items(), key=lambda one: (not one[0][0], one[0][1] != TRAINED)):
        tasks = [recipe.run.data[part.specs[0].task].task.title for part in parts]
        every = f"all {len(tasks)}" if len(tasks) == len(recipe.run.tasks) > 1 else ", ".join(tasks)
        methods = ", ".join(names[:NAMED]) + f" and {len(names) - NAMED} more" * (len(names) > NAMED)
        nothing = "nothing, on draws of their own: does the model learn in context?" if apart else "nothing"
        kept = weights if weights == TRAINED else f"untrained but {weights.replace('_', ', ')}"
        table.add_row(every, kept.removesuffix(" but nothing"), methods or nothing, str(len(_claims(parts))))
    return table


def _rounds(recipe: Recipe, looks: Mapping[int, Costs]) -> Table:
    """How many trials are missing of each task at every look, and about how long they take."""
    table = Table("task", *(Column(f"{look} draws", justify="right") for look in looks))
    for task in recipe.run.tasks:
        of_task = [[(part, cost) for part, cost in of if part.specs[0].task == task.name] for of in looks.values()]
        if any(of_task):
            table.add_row(task.title, *map(_cell, map(_sum, of_task)))
    totals = [_sum(of) for of in looks.values()]
    table.add_section()
    table.add_row("all", *(str(cost.missing) for cost in totals))
    if any(cost.stored for cost in totals):
        table.add_row("cached", *(str(cost.stored) for cost in totals))
    table.add_row("time", *(duration(cost.seconds) if cost.missing else "" for cost in totals))
    if len(looks) > 1:
        table.add_row("until then", *map(duration, accumulate(cost.seconds for cost in totals)))
    return table


def _cell(cost: Cost) -> str:
    return f"{cost.missing}, {duration(cost.seconds)}" if cost.missing else ""


def _counts(cost: Cost) -> dict[str, float]:
    return {"trials": cost.work.trials, "stored": cost.stored, "missing": cost.missing, "seconds": cost.seconds}


def _sum(costs: Costs) -> Cost:
    return sum((cost for _, cost in costs), Cost())


def _by_look(recipe: Recipe, costs: Costs) -> dict[int, Costs]:
    return {look: [(part, cost) for part, cost in costs if part.look == look] for look in recipe.looks}


def _claims(parts: Sequence[Part]) -> set[str]:
    return {claim for part in parts for claim in part.claims}
