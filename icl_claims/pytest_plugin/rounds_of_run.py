"""The trials of a profile, run in rounds: each adds draws for the claims that these could still decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import pytest

from icl_claims.claims import Claim, Verdict
from icl_claims.evidence.deciding import verdict_on
from icl_claims.evidence.learning import learning_of
from icl_claims.evidence.outlook import not_begun, outlook_of
from icl_claims.evidence.recipe import Recipe
from icl_claims.evidence.rounds import DECIDED, cannot_turn, gated
from icl_claims.evidence.trials import TrialsEvidence
from icl_claims.experiments.plan import Run, plan_task
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import LEARNING, STUDIES, Study
from icl_claims.pytest_plugin.agenda import Agenda
from icl_claims.pytest_plugin.events import Said, Tell, tell_nobody
from icl_claims.pytest_plugin.held_trials import Execute, HeldTrials, setting_of
from icl_claims.pytest_plugin.look_ahead import further_trials
from icl_claims.pytest_plugin.planned_claims import (
    FAILED,
    LAST,
    NEVER,
    NO_TIME,
    UNKNOWN,
    PlannedClaim,
    digest_of,
    named,
    summary,
)
from icl_claims.pytest_plugin.records import effect_of
from icl_claims.pytest_plugin.verdict_cache import VerdictCache
from icl_claims.pytest_plugin.workers import ALONE, Worker

LOOK = "look"
HOPELESS = 4
"""A claim is given up that would need so many times the draws of the profile, if the differences are as they seem."""


@dataclass(eq=False)
class RoundsOfRun:
    """Rounds of draws until every claim is decided, or cannot be, or nothing more is run.

    What is said at a look does not depend on what else is run or stored, nor by how many processes.

    Args:
        run: What the reader chose.
        studies: Those that may be run.
        claims: Those that trials of the profile decide, with their tests by id.
        execute: Runs trials.
        verdicts: What was said before.
        details: Of the profile, for reports.
        going_on: Whether rounds go on beyond the draws of the profile until `execute` stops.
        tell: Told what came of a round, and of every look at a claim.
        worker: This process, of those that look at the same claims.
    """

    run: Run
    studies: tuple[Study, ...]
    claims: Mapping[str, tuple[Claim, Callable[..., Any] | None]]
    execute: Execute
    verdicts: VerdictCache
    details: dict[str, Any]
    going_on: bool = False
    tell: Tell = tell_nobody
    worker: Worker = ALONE
    _first: dict[str, list[TrialSpec]] = field(default_factory=dict)
    _keys: dict[str, list[str]] = field(default_factory=dict)

    @cached_property
    def _recipe(self) -> Recipe:
        return Recipe(self.run, self.studies, self.claims)

    @cached_property
    def _trials(self) -> HeldTrials:
        return HeldTrials(self.run, self.studies, self.execute, self.details)

    @cached_property
    def _planned(self) -> list[PlannedClaim]:
        return [PlannedClaim(test, *found, self._recipe.needs[test]) for test, found in self.claims.items()]

    @cached_property
    def finished(self) -> dict[str, PlannedClaim]:
        """Every claim by its test, when all rounds are over."""
        costs = self._trials.costs.of

        def hurried() -> bool:
            return self._hurried and not self.execute.over

        agenda, planned = Agenda([*self._planned], self._look_after, self._missing, costs, hurried), self._planned
        while taken := agenda.take():
            agenda.put_back(self._round(*taken))
        if self._hurried and planned and not self.worker.number:  # each process would say it
            self.tell(Said(self.details["profile"], summary(self.details["profile"], planned)))
        return {one.test: one for one in planned}

    def evidence(self, test: str) -> TrialsEvidence:
        """What a claim is decided on: the draws up to the last look at it.

        Raises:
            Exception: What its trials raised.
        """
        claim = self.finished[test]
        self._run([claim], claim.look)  # only read, where it was looked at before
        if claim.failure is not None:
            raise claim.failure
        return self._at(claim.look)

    def facts_of(self, test: str, verdict: Verdict) -> dict[str, Any]:
        """What is told of a claim beside its verdict: the looks at it, and what it waits for if it is undecided."""
        one = self.finished[test]
        outlook = outlook_of(one.claim.rule, verdict, closed=self._closed(one))
        if outlook and not one.look and one.stopped == NO_TIME:
            outlook = not_begun(self._recipe.looks[0])
        more = (outlook.draws or 0) - one.look if outlook and one.look else 0
        seconds = self._trials.seconds(self._specs([one], one.look)) * more / one.look if more > 0 else None
        waits = outlook and {**asdict(outlook), "seconds": seconds}
        return {"looks": one.all_looks(verdict), "outlook": waits}

    def draws_of(self, test: str) -> str:
        """How many draws of each task a claim was looked at after, and why no more were run, for reports."""
        return self.finished[test].draws

    def digest(self, test: str) -> str:
        """SHA-256 of all that the evidence of a claim follows from."""
        claim = self.finished[test]
        return self._digest(claim, claim.look)

    @cached_property
    def digest_of_all(self) -> str:
        """SHA-256 of all that the evidence of all claims follows from."""
        return digest_of(sorted(map(self.digest, self.finished)))

    def everything(self) -> TrialsEvidence:
        """All draws, each with what was asked of it."""
        for claim in self.finished.values():
            self._run([claim], claim.look)
        return self._at(max((one.look for one in self.finished.values()), default=0))

    @cached_property
    def learned(self) -> dict[str, int]:
        """By task, how many draws apart told that the model learns it in context; 0 where all did not.

        A task is missing where they could not be run.

        Raises:
            Exception: What their trials raised.
        """
        found: dict[str, int] = {}
        for look in self._recipe.looks:
            waiting = [task for task in self._recipe.gated if not found.get(task.name)]
            specs = {task.name: self._recipe.gate(task, look) for task in waiting}
            asked = [spec for of_task in specs.values() for spec in of_task]
            if broken := self._trials.hold("whether the model learns in context", asked):
                raise broken[1]
            for task, of_task in specs.items():
                results = self._trials.results(of_task)
                if len(results) == look:
                    found[task] = 0 if learning_of({LEARNING: {task: results}}, task) else look
                else:
                    found.pop(task, None)
        return found

    def further(self) -> Iterator[TrialSpec]:
        """The trials that the next rounds would ask for if nothing were decided in this one, the nearest first."""
        learned = self._worth_running if "learned" in vars(self) else None
        return further_trials(self._recipe, self._planned, learned, beyond=self._hurried)

    def _look_after(self, draws: int) -> int | None:
        return self._recipe.look_after(draws, beyond=self._hurried)

    @property
    def _hurried(self) -> bool:
        """Whether it is time that ends the rounds, and not a number of draws."""
        return self.going_on and not self.run.choices.fixed

    def _missing(self, one: PlannedClaim, look: int) -> Iterator[TrialSpec]:
        """What is stored nowhere of the last trials before a look at a claim, unless it is known what that says."""
        if self._said_before(one, look) is None:
            for spec in self._recipe.last(self._templates(one), look):
                if not self._trials.holds(spec) and (missing := self.execute.missing(spec)) is not None:
                    yield missing

    def _round(self, asked: Sequence[PlannedClaim], look: int) -> list[PlannedClaim]:
        """Look at claims after so many draws; gives those that more draws could decide."""
        known = {one.test: self._said_before(one, look) for one in asked}
        self._run([one for one in asked if known[one.test] is None], look)
        going_on: list[PlannedClaim] = []
        for one in self.worker.in_its_order(asked):
            said = known[one.test] or self._said_before(one, look)  # by another process meanwhile
            if said is None and not self._complete(one, look):  # another claim may have another method of a name
                self._run([one], look)
            if said is None and (one.failure is not None or not self._complete(one, look)):
                one.stopped = FAILED if one.failure is not None else NO_TIME
                continue
            one.look, one.stopped = look, LAST
            if said is None and self._look_after(look) is not None:
                said = self._look(one, look)
            if said is not None:
                told = one.note(said, self.details["profile"])
                going_on += [one] * (one.stopped == LAST)
                if told is not None:
                    self.tell(told)
        return going_on

    def _look(self, one: PlannedClaim, look: int) -> dict[str, Any] | None:
        """What a claim says after so many draws: its word, or that it never will; None where it breaks."""
        if one.deciding is None:
            return {"verdict": UNKNOWN, "effect": None, "tasks": []}
        try:
            verdict = verdict_on(one.claim, self._at(look), one.deciding)
        except (Exception, pytest.fail.Exception, pytest.skip.Exception):  # as it will in its own test
            one.stopped = FAILED
            return None
        word: str = verdict.word
        draws = self.run.choices.draws
        within = HOPELESS * draws if 2 * look >= draws else math.inf  # before, the differences are too rough a guess
        if word not in DECIDED and cannot_turn(one.claim.rule, verdict, closed=self._closed(one), within=within):
            word = NEVER
        tasks = [{"outcome": one.outcome} for one in (verdict.comparison.tasks if verdict.comparison else ())]
        outlook = outlook_of(one.claim.rule, verdict, closed=self._closed(one))
        waits = outlook and {"draws": outlook.draws}
        said = {"verdict": word, "effect": effect_of(verdict.comparison), "tasks": tasks, "outlook": waits}
        self.verdicts.put(one.test, LOOK, self._digest(one, look), said)
        return said

    def _closed(self, one: PlannedClaim) -> list[str]:
        """The tasks that say nothing to a claim, since the model does not learn them."""
        decides = one.claim.questions[:1]
        of_learners = any(map(gated, decides)) if decides else any(need.gated for need in one.needs)
        return [task.name for task in self.run.tasks if of_learners and not self.learned.get(task.name)]

    def _said_before(self, one: PlannedClaim, look: int) -> Mapping[str, Any] | None:
        digest = self._digest(one, look)
        found = self.verdicts.get(one.test, LOOK, digest) or self.verdicts.get(one.test, "trials", digest)
        return None if found is None else found.record

    def _digest(self, one: PlannedClaim, look: int) -> str:
        if one.test not in self._keys:
            self._keys[one.test] = sorted(spec.key() for spec in self._templates(one))
        draws = {task.name: self.run.choices.runs(task, draws=look) for task in self.run.tasks}
        learned = {need.task: self.learned.get(need.task) for need in one.needs if need.gated}
        apart = self.run.choices.draws
        return digest_of([self.details, self._settings, self._keys[one.test], draws, sorted(learned.items()), apart])

    @cached_property
    def _settings(self) -> list[str]:
        """What all trials of a task have in common."""
        return [plan_task(self.run, STUDIES[LEARNING], task, 1)[0].setting() for task in self.run.tasks]

    def _specs(self, claims: Sequence[PlannedClaim], look: int) -> list[TrialSpec]:
        if len(claims) == 1:
            return self._recipe.drawn(self._templates(*claims), look)
        return self._recipe.specs((need for one in claims for need in one.needs), self._worth_running, look)

    def _templates(self, one: PlannedClaim) -> list[TrialSpec]:
        """The first trial of each task and kind of weights that a claim needs."""
        if one.test not in self._first:
            self._first[one.test] = [*self._recipe.templates(one.needs, self._worth_running).values()]
        return self._first[one.test]

    @property
    def _worth_running(self) -> list[str]:
        """The tasks that are run for claims about a model that learns in context."""
        return [task for task, draws in self.learned.items() if draws or self.run.choices.fixed]

    def _at(self, look: int) -> TrialsEvidence:
        return self._trials.at(look, self.learned)

    def _complete(self, one: PlannedClaim, look: int) -> bool:
        known = all(need.task in self.learned for need in one.needs if need.gated)
        return known and all(self._trials.holds(spec) for spec in self._specs([one], look))

    def _run(self, claims: Sequence[PlannedClaim], look: int) -> None:
        """Have all trials that claims need; if one fails, those claims are to blame of which it fails alone."""
        sound = [one for one in claims if one.failure is None and not self._in_vain(one, look)]
        while sound and (broken := self._trials.hold(f"{look} draws for {named(sound)}", self._specs(sound, look))):
            for one in sound:
                own = [spec for spec in self._specs([one], look) if setting_of(spec) == setting_of(broken[0])]
                alone = self._trials.hold(one.claim.id, own) if len(sound) > 1 else broken
                one.failure = alone[1] if alone else None
            if all(one.failure is None for one in sound):
                for one in sound:
                    one.failure = broken[1]
            sound = [one for one in sound if one.failure is None]

    def _in_vain(self, one: PlannedClaim, look: int) -> bool:
        """Whether some trial is lacking, of which there is no end to wait for; the newest draws lack first."""
        return self.execute.over and any(map(self._lacks, reversed(self._specs([one], look))))

    def _lacks(self, spec: TrialSpec) -> bool:
        return not self._trials.holds(spec) and self.execute.missing(spec) is not None
