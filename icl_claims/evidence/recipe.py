"""The trials that claims ask for, known before any is run: what the rounds of a run execute, and a plan prints."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, pairwise, takewhile
from typing import Any

from icl_claims.claims import Claim
from icl_claims.evidence.rounds import Need, looks, narrowed, needs_of
from icl_claims.evidence.trials import MAIN
from icl_claims.experiments.plan import Run, plan_task
from icl_claims.experiments.spec import TrialSpec, joined
from icl_claims.experiments.studies import LEARNING, STUDIES, Study
from icl_claims.tasks import Task

Place = tuple[str, str]
"""A task and a kind of weights."""


@dataclass(frozen=True)
class Part:
    """Trials of one task and one kind of weights, all with the same methods.

    Args:
        look: After how many draws claims are looked at, for which they are run.
        specs: They themselves, at least one, one for each draw.
        claims: Ids of the claims that ask for them.
        apart: Whether they tell whether the model learns the task in context, on draws of their own.
    """

    look: int
    specs: tuple[TrialSpec, ...]
    claims: tuple[str, ...]
    apart: bool

    @property
    def place(self) -> tuple[str, str, bool]:
        """What its trials are of, which the parts of later looks are of, too."""
        return self.specs[0].task, self.specs[0].weights, self.apart

    def record(self) -> dict[str, Any]:
        """What its trials are of as plain data, with who asks for them."""
        first = self.specs[0]
        return {
            "task": first.task,
            "weights": first.weights,
            "apart": self.apart,
            "methods": [method.name for method in first.answering],
            "metrics": [metric.name for metric in first.metrics],
            "diagnostics": first.diagnostics,
            "claims": list(self.claims),
        }


@dataclass(frozen=True, eq=False)
class Recipe:
    """What claims ask of trials, look by look.

    Args:
        run: What the reader chose.
        studies: Those that may be run.
        claims: Those that trials decide, by the ids of their tests, each with its test; see `needs_of`.
    """

    run: Run
    studies: tuple[Study, ...]
    claims: Mapping[str, tuple[Claim, Callable[..., Any] | None]]

    @cached_property
    def needs(self) -> dict[str, frozenset[Need]]:
        """What each claim needs of trials, by its test."""
        return {test: needs_of(*found, self.studies, self._tasks) for test, found in self.claims.items()}

    @property
    def looks(self) -> list[int]:
        """After how many draws claims are looked at, up to all draws; a number that was asked for is the only one."""
        draws = self.run.choices.draws
        before = [] if self.run.choices.fixed else takewhile(lambda look: look < draws, looks(draws))
        return [*before, draws]

    def look_after(self, draws: int, *, beyond: bool) -> int | None:
        """The next look after so many draws, also `beyond` all draws if there may be more; None if there is none."""
        further = looks(self.looks[-1]) if beyond else ()
        return next((look for look in chain(self.looks, further) if look > draws), None)

    @cached_property
    def gated(self) -> tuple[Task, ...]:
        """The tasks of which it must be known whether the model learns them in context."""
        names = {need.task for needs in self.needs.values() for need in needs if need.gated}
        return tuple(task for task in self.run.tasks if task.name in names)

    def gate(self, task: Task, look: int) -> list[TrialSpec]:
        """The trials that tell whether the model learns a task in context, as many as draws are looked at."""
        return plan_task(self.run, STUDIES[LEARNING], task, look)

    def templates(self, needs: Iterable[Need], learned: Collection[str]) -> dict[Place, TrialSpec]:
        """The first trial of each task and kind of weights, with all that is needed where these tasks are learned."""
        places = narrowed(self.studies, needs, learned)
        each = [(study, task) for task in self.run.tasks for study in self.studies]  # in this order, whoever asks
        asked = ((places[study.name, task.name], task) for study, task in each if (study.name, task.name) in places)
        first = (plan_task(self.run, study, task, 1)[0] for study, task in asked)
        return {(spec.task, spec.weights): spec for spec in joined(first).values()}

    def specs(self, needs: Iterable[Need], learned: Collection[str], look: int) -> list[TrialSpec]:
        """All trials up to a look with all that is needed where these tasks are learned."""
        return self.drawn(self.templates(needs, learned).values() if look else (), look)

    def drawn(self, templates: Iterable[TrialSpec], look: int) -> list[TrialSpec]:
        """The trials of all draws up to a look, from the first ones."""
        return [
            replace(spec, seed=seed, permutation=permutation)
            for spec in templates
            for seed, permutation in self.run.choices.runs(self._tasks[spec.task], draws=look)
        ]

    def last(self, templates: Iterable[TrialSpec], look: int) -> list[TrialSpec]:
        """The trials of the last draw before a look alone, from the first ones."""
        last = {task.name: self.run.choices.runs(task, draws=look)[-1] for task in self.run.tasks}
        return [replace(one, seed=last[one.task][0], permutation=last[one.task][1]) for one in templates]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What every look adds, if no claim is decided before and the model learns every task in context.

        As many draws are counted for whether it learns as for its claims, though they are run until that is known.
        """
        gate = (spec for task in self.gated for spec in self.gate(task, self.looks[-1]))
        asked = self.specs(chain.from_iterable(self.needs.values()), self._tasks, self.looks[-1])
        places: dict[tuple[bool, str, str], list[TrialSpec]] = {}
        for apart, specs in ((True, gate), (False, asked)):
            for spec in specs:
                places.setdefault((apart, spec.task, spec.weights), []).append(spec)
        return tuple(
            Part(look, tuple(specs[before:look]), self._asking(*place), place[0])
            for before, look in pairwise((0, *self.looks))
            for place, specs in places.items()
        )

    @cached_property
    def _tasks(self) -> dict[str, Task]:
        return {task.name: task for task in self.run.tasks}

    def _asking(self, apart: bool, task: str, weights: str) -> tuple[str, ...]:
        kept = {study.name: study.weights for study in self.studies}
        asking = {
            self.claims[test][0].id
            for test, needs in self.needs.items()
            for need in needs
            if need.task == task and (need.gated if apart else kept[need.study] == weights)
        }
        return tuple(sorted(asking))


def studies_of(run: Run, own: Study | None) -> tuple[Study, ...]:
    """The studies that may be run: those that were chosen, those that always are, and the reader's own."""
    always = (study for study in STUDIES.values() if study.name in (MAIN, LEARNING, *run.studies))
    return (*always, *(() if own is None else (own,)))
