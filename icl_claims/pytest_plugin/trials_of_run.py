"""The trials that a run of claims asks for: planned, run or read from the store, with progress in the terminal."""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from icl_claims.evidence import asking, trials
from icl_claims.evidence.figure_data import figure_data
from icl_claims.evidence.trial_columns import Results
from icl_claims.experiments import plan, profiles, trial
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.spec import TrialSpec, joined
from icl_claims.experiments.studies import LEARNING, STUDIES, Study, study_of
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.models import LanguageModel
from icl_claims.models.reference import described
from icl_claims.pytest_plugin import collection, fixtures, options, workers

DONE = "done"
Report = Callable[[str, str, float], None]
"""Takes the title of a trial, what it is doing, and how many trials are done, with a fraction for the one under way."""


class TrialsOfRun:
    """Gives the trials of a profile; a study is run when a claim asks for it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._known: dict[str, trials.TrialsEvidence | asking.AbsentEvidence] = {}
        self._drawn: dict[str, int] = {}
        self.digest = cache(self._digest)

    def __call__(self, profile: str) -> trials.TrialsEvidence | asking.AbsentEvidence:
        """The trials of a profile; the chosen one by default."""
        if profile not in self._known:
            self._known[profile] = self._evidence(profile)
        return self._known[profile]

    def _digest(self, profile: str) -> str:
        """SHA-256 of all that the trials of a profile are run with; empty if they cannot be run here."""
        choices = options.choices_of(self._config, profile)
        if why_not(choices):
            return ""
        run, studies = self._resolve(choices)
        keys = {study.name: [spec.key() for spec in plan.plan_trials(run, study)] for study in studies}
        found = {"trials": keys, "details": _details(choices, run)}
        return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()

    def _resolve(self, choices: profiles.Choices) -> tuple[plan.Run, tuple[Study, ...]]:
        """What choices come to, with the tasks and the study of the reader's own claims."""
        asked = collection.asked_of_trials(self._config)
        with fixtures.visible(self._config) as say:
            run = plan.resolve(choices, say=say, own=asked.own_tasks, papers=asked.papers_tasks)
        own = () if asked.own_study is None else (asked.own_study,)
        return run, (*(study for study in STUDIES.values() if study.name in ("main", LEARNING, *run.studies)), *own)

    def new_figure_data(self, profile: str) -> dict[str, Any]:
        """By profile, the numbers behind the figures, if studies were run since they were asked for last."""
        evidence = self(profile)
        if isinstance(evidence, asking.AbsentEvidence):
            return {}
        name, studies = str(evidence.details["profile"]), list(evidence.results)
        if len(studies) == self._drawn.get(name):
            return {}
        self._drawn[name] = len(studies)
        return {name: figure_data(evidence, studies)}

    def _evidence(self, profile: str) -> trials.TrialsEvidence | asking.AbsentEvidence:
        choices = options.choices_of(self._config, profile)
        if reason := why_not(choices):
            return asking.AbsentEvidence("trials", reason, _details(choices))
        worker = workers.worker_of(self._config)
        since = workers.beginning(self._config) if self._config.getoption("claims_again") else None
        choices = replace(choices, device=worker.device(choices.device, torch.cuda.device_count()))
        run, studies = self._resolve(choices)
        asked = {study_of(quantity, studies) for quantity in collection.selected_quantities(self._config, profile)}

        @cache
        def load() -> LanguageModel:
            with fixtures.visible(self._config) as say:
                say(f"Trials of profile {choices.profile.name}: loading {choices.model_reference}.")
                return choices.load_model(say)

        def run_study(study: Study) -> Results:
            specs, quiet = plan.plan_trials(run, study), self._config.get_verbosity() < 0
            along = [spec for other in studies if other in asked for spec in plan.plan_trials(run, other)]
            with fixtures.visible(self._config), progress_of_trials(len(specs), quiet=quiet) as report:
                return run_all(run, specs, load, _named(report, study.name), worker, along, since=since)

        own = (*STUDIES.values(), *(study for study in studies if study.name not in STUDIES))
        return trials.TrialsEvidence(StudiesOfRun(studies, run_study), _details(choices, run), own)


class StudiesOfRun(Mapping[str, Results]):
    """The trials of each study, run when they are asked for; those that were run already are what it lists."""

    def __init__(self, studies: Sequence[Study], run: Callable[[Study], Results]) -> None:
        self._studies, self._run = {study.name: study for study in studies}, run
        self._done: dict[str, Results] = {}

    def __getitem__(self, name: str) -> Results:
        if name not in self._done:
            self._done[name] = self._run(self._studies[name])
        return self._done[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._done)

    def __len__(self) -> int:
        return len(self._done)


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


def run_all(
    run: plan.Run,
    specs: Sequence[TrialSpec],
    load: Callable[[], LanguageModel],
    report: Report,
    worker: workers.Worker,
    along: Sequence[TrialSpec] = (),
    *,
    since: datetime | None = None,
) -> dict[str, list[TrialResult]]:
    """Run, or read from the store, the trials of a study; those that other workers run meanwhile are waited for last.

    What is `along`, trials of other studies, is run together with those of the same setting, so that methods that they
    share learn and answer once. The model is not loaded where all trials are stored; those written before `since` count
    as if they were not. The results are by task, in the order of the specifications.
    """
    store, results = TrialStore(since=since), dict[str, TrialResult]()
    together = joined((*specs, *along))

    def run_one(title: str, spec: TrialSpec) -> TrialResult:
        def progress(what: str, done: float) -> None:
            report(title, what, len(results) + min(done, 0.999))

        checkpoint, tokens = store.checkpoint(spec), run.choices.tokens_per_batch
        return trial.run_trial(
            spec, load(), run.data[spec.task], progress, checkpoint=checkpoint, tokens_per_batch=tokens
        )

    for ask in (store.get_or_run_unless_busy, store.get_or_run):
        for number, spec in worker.in_its_order(list(enumerate(specs))):
            if spec.key() in results:
                continue
            title = f"trial {number + 1} of {len(specs)}, {run.data[spec.task].task.title}"
            try:
                result = ask(spec, partial(run_one, title), together.get(spec.setting()))
            except Exception:
                if not together:
                    raise
                together = {}  # another study may be to blame, and is told so when its own claims are decided
                result = ask(spec, partial(run_one, title))
            if result is not None:
                results[spec.key()] = result
                report(title, DONE, len(results))
    tasks = dict.fromkeys(spec.task for spec in specs)
    return {task: [results[spec.key()] for spec in specs if spec.task == task] for task in tasks}


def _named(report: Report, study: str) -> Report:
    return lambda title, step, done: report(f"{study} study, {title}", step, done)


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
