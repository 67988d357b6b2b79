"""Which trials the next rounds would ask for if nothing were decided in this one, so that no worker waits for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from icl_claims.evidence.recipe import Recipe
from icl_claims.evidence.rounds import Need
from icl_claims.experiments.spec import TrialSpec
from icl_claims.pytest_plugin.planned_claims import LAST, PlannedClaim

LOOKS = 64
"""So many looks ahead, which nobody reaches: there is no end to them where only time ends the rounds."""


def further_trials(
    recipe: Recipe, planned: Sequence[PlannedClaim], learned: Collection[str] | None, *, beyond: bool
) -> Iterator[TrialSpec]:
    """The trials of the looks to come, the nearest first, for claims that are undecided by now.

    Args:
        recipe: What claims ask of trials.
        planned: All claims of the run.
        learned: The tasks that the model learns in context; None where that is not known yet.
        beyond: Whether there may be more draws than those of the profile.
    """
    if learned is None:
        yield from _before_it_is_known(recipe, planned)
        return
    looked = {one: one.look for one in planned if one.stopped in ("", LAST)}
    for _ in range(LOOKS):
        after = {one: look for one in looked if (look := recipe.look_after(looked[one], beyond=beyond)) is not None}
        if not after:
            return
        look = min(after.values())
        asking = [one for one in after if after[one] == look]
        needs = frozenset(chain.from_iterable(one.needs for one in asking))
        yield from _added(recipe, needs, learned, min(looked[one] for one in asking), look)
        looked = {one: look if one in asking else looked[one] for one in after}


def _before_it_is_known(recipe: Recipe, planned: Sequence[PlannedClaim]) -> Iterator[TrialSpec]:
    """First what is asked of every model, then what is asked if it learns all tasks, then whether it does."""
    first, *later = recipe.looks
    needs, tasks = list(chain.from_iterable(one.needs for one in planned)), [task.name for task in recipe.run.tasks]
    yield from recipe.specs(needs, (), first)
    yield from recipe.specs(needs, tasks, first)
    for look in later:
        for task in recipe.gated:
            yield from recipe.gate(task, look)


def _added(
    recipe: Recipe, needs: Iterable[Need], learned: Collection[str], before: int, look: int
) -> Iterator[TrialSpec]:
    """The trials that a look adds to those of the look before, draw by draw."""
    tasks = {task.name: task for task in recipe.run.tasks}
    templates = [*recipe.templates(needs, learned).values()]
    draws = {name: recipe.run.choices.runs(task, draws=look)[before:] for name, task in tasks.items()}
    for number in range(look - before):
        for spec in templates:
            if number < len(draws[spec.task]):
                seed, permutation = draws[spec.task][number]
                yield replace(spec, seed=seed, permutation=permutation)
