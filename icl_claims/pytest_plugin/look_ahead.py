"""Which trials the next rounds would ask for if nothing were decided in this one, so that no worker waits for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain, islice

from icl_claims.evidence.recipe import Recipe
from icl_claims.evidence.rounds import Need
from icl_claims.experiments.spec import TrialSpec
from icl_claims.pytest_plugin.planned_claims import LAST, PlannedClaim

LOOKS = 8
"""So many looks ahead; there is no end to them where only time ends the rounds."""


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
    going_on = [one for one in planned if one.stopped in ("", LAST)]
    looked = {one: one.look for one in going_on}
    for _ in islice(iter(int, 1), LOOKS):
        after = {one: look for one in looked if (look := recipe.look_after(looked[one], beyond=beyond)) is not None}
        if not after:
            return
        look = min(after.values())
        asking = [one for one in after if after[one] == look]
        before = min(looked[one] for one in asking)
        needs = list(chain.from_iterable(one.needs for one in asking))
        yield from _added(recipe, needs, learned, before, look)
        looked = {one: max(looked[one], look if one in asking else 0) for one in after}


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
    recipe: Recipe, needs: Sequence[Need], learned: Collection[str], before: int, look: int
) -> Iterator[TrialSpec]:
    """The trials that a look adds to those of the look before, draw by draw, so that the next ones begin alike."""
    choices, tasks = recipe.run.choices, recipe.run.tasks
    known = {(task.name, *draw) for task in tasks for draw in choices.runs(task, draws=before)} if before else set()
    new = [spec for spec in recipe.specs(needs, learned, look) if (spec.task, spec.seed, spec.permutation) not in known]
    yield from new
