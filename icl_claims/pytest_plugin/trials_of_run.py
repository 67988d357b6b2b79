"""The trials that a run of claims asks for: run or read from the store, with progress in the terminal."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from icl_claims.evidence.asking import AbsentEvidence
from icl_claims.evidence.figure_data import figure_data
from icl_claims.evidence.trials import MAIN, TrialsEvidence
from icl_claims.experiments import plan, profiles, trial
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import LEARNING, STUDIES
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.models import LanguageModel
from icl_claims.models.reference import described
from icl_claims.pytest_plugin import collection, fixtures, options, workers
from icl_claims.pytest_plugin.budget import Budget, Interrupted, budget_of
from icl_claims.pytest_plugin.rounds_of_run import RoundsOfRun
from icl_claims.pytest_plugin.verdict_cache import VerdictCache

DONE = "done"
Report = Callable[[str, str, float], None]
"""Takes the title of a trial, what it is doing, and how many trials are done, with a fraction for the one under way."""


class TrialsOfRun:
    """Gives the trials of a profile: they are run in rounds when a claim asks for the first time."""

    def __init__(self, config: pytest.Config, verdicts: VerdictCache) -> None:
        self._config, self._verdicts = config, verdicts
        self._drawn: set[str] = set()
        self.rounds = cache(self._rounds)

    def __call__(self, profile: str, test: str) -> TrialsEvidence | AbsentEvidence:
        """The trials of a profile, the chosen one by default, that decide the claim of a test."""
        choices = options.choices_of(self._config, profile)
        if reason := why_not(choices):
            return AbsentEvidence("trials", reason, _details(choices))
        return self.rounds(profile).evidence(test)

    def digest(self, profile: str, test: str) -> str:
        """SHA-256 of all that the trials follow from that decide a claim; empty if they cannot be run here."""
        return "" if why_not(options.choices_of(self._config, profile)) else self.rounds(profile).digest(test)

    def draws(self, profile: str, test: str) -> str:
        """How many draws a claim of trials that were run was looked at after, and why no more."""
        return self.rounds(profile).draws_of(test)

    def pictures(self, profile: str) -> dict[str, Any]:
        """By profile, the numbers behind the figures, once in a process: read where all that they follow from is known.

        Another process may have drawn fewer methods; what both have is the same.
        """
        if profile in self._drawn or why_not(options.choices_of(self._config, profile)):
            return {}
        self._drawn.add(profile)
        rounds = self.rounds(profile)
        drawn = self._verdicts.pictures(rounds.digest_of_all)
        if not drawn:
            evidence = rounds.everything()
            drawn = {
                str(evidence.details["profile"]): figure_data(evidence, [MAIN] if MAIN in evidence.results else [])
            }
            self._verdicts.put_pictures(rounds.digest_of_all, drawn)
        return drawn

    def _rounds(self, profile: str) -> RoundsOfRun:
        choices, worker = options.choices_of(self._config, profile), workers.worker_of(self._config)
        choices = replace(choices, device=worker.device(choices.device, torch.cuda.device_count()))
        asked = collection.asked_of_trials(self._config)
        with fixtures.visible(self._config) as say:
            run = plan.resolve(choices, say=say, own=asked.own_tasks, papers=asked.papers_tasks)
        own = () if asked.own_study is None else (asked.own_study,)
        studies = (*(study for study in STUDIES.values() if study.name in (MAIN, LEARNING, *run.studies)), *own)

        @cache
        def load() -> LanguageModel:
            with fixtures.visible(self._config) as say:
                say(f"Trials of profile {choices.profile.name}: loading {choices.model_reference}.")
                return choices.load_model(say)

        since = workers.beginning(self._config) if self._config.getoption("claims_again") else None
        stop = budget_of(self._config)
        execute = Execution(run, load, worker, TrialStore(since=since), stop, self._config)
        claims = collection.selected_claims(self._config, profile)
        return RoundsOfRun(
            run, studies, claims, execute, self._verdicts, _details(choices, run), going_on=stop.set, say=execute.say
        )


def _details(choices: profiles.Choices, run: plan.Run | None = None) -> dict[str, Any]:
    known = {"profile": choices.profile.name, "changed": list(choices.changed)}
    if run is None:
        return known
    model = described(choices.model_reference)
    return {**known, "learning_rates": run.rates.origin, "model": model, "data": choices.source.name}


def why_not(choices: profiles.Choices) -> str:
    """Why the trials of a profile cannot be run here; empty where they can."""
    if not choices.profile.needs_cuda:
        return ""
    if choices.device is None and not torch.cuda.is_available():
        return "no CUDA device (run on a GPU machine, or force it with --claims-device cpu)"
    if choices.model is None:
        return "no model named (add --claims-model fairseq:DIR)"
    return "no data named (add --claims-data DIR)" if choices.data is None else ""


@dataclass(eq=False)
class Execution:
    """Runs trials, or reads them from the store; those that other workers run meanwhile are waited for last.

    The model is not loaded where all are stored. Ctrl-C ends it as the end of the budget does.

    Args:
        run: What the reader chose.
        load: Gives the model.
        worker: This process.
        store: Where trials are kept.
        budget: When no further trial is begun.
    """

    run: plan.Run
    load: Callable[[], LanguageModel]
    worker: workers.Worker
    store: TrialStore
    budget: Budget
    config: pytest.Config

    def __call__(self, what: str, specs: Sequence[TrialSpec]) -> Iterator[tuple[TrialSpec, TrialResult | Exception]]:
        """Run or read trials, each given when it is done, up to the end of the budget."""
        done = dict.fromkeys(range(len(specs)), False)
        order, quiet = self.worker.in_its_order(list(enumerate(specs))), self.config.get_verbosity() < 0
        with fixtures.visible(self.config), progress_of_trials(len(specs), quiet=quiet) as report:
            for ask in (self.store.get_or_run_unless_busy, self.store.get_or_run):
                for number, spec in order:
                    if done[number] or (self.budget.over and not self.store.holds(spec)):
                        continue
                    title = f"{what}, trial {number + 1} of {len(specs)}, {self.run.data[spec.task].task.title}"
                    found = self._result(ask, spec, partial(self._tell, report, title, sum(done.values())))
                    if found is not None:
                        done[number] = True
                        report(title, DONE, sum(done.values()))
                        yield spec, found

    def say(self, text: str) -> None:
        """Tell whoever waits what came of a round."""
        if self.config.get_verbosity() >= 0:
            with fixtures.visible(self.config):
                Console(file=sys.stdout).out(text, highlight=False)

    @staticmethod
    def _tell(report: Report, title: str, before: int, step: str, part: float) -> None:
        report(title, step, before + min(part, 0.999))

    def _result(
        self, ask: Any, spec: TrialSpec, progress: Callable[[str, float], None]
    ) -> TrialResult | Exception | None:
        def run_one(missing: TrialSpec) -> TrialResult:
            def told(step: str, part: float) -> None:
                self.budget.check()
                progress(step, part)

            checkpoint, tokens = self.store.checkpoint(missing), self.run.choices.tokens_per_batch
            data = self.run.data[missing.task]
            return trial.run_trial(
                missing,
                self.load(),
                data,
                told,
                checkpoint=checkpoint,
                tokens_per_batch=tokens,
            )

        try:
            found: TrialResult | None = ask(spec, run_one)
        except Interrupted:
            return None
        except KeyboardInterrupt:
            if self.budget.over:
                raise
            self.budget.end()
            self.say("Interrupted: what is undecided stays so; once more to stop at once.")
            return None
        except Exception as error:
            return error
        return found


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
