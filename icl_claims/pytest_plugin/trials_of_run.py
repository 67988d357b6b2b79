"""The trials that a run of claims asks for: run or read from the store, and told of as they go."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from typing import Any

import pytest
import torch

from icl_claims.claims import Verdict
from icl_claims.evidence.asking import AbsentEvidence
from icl_claims.evidence.figure_data import figure_data
from icl_claims.evidence.outlook import not_begun
from icl_claims.evidence.recipe import studies_of
from icl_claims.evidence.rounds import looks
from icl_claims.evidence.trials import MAIN, TrialsEvidence
from icl_claims.experiments import plan, profiles, trial
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.models import LanguageModel, embedded
from icl_claims.models.reference import EMBEDDED, described
from icl_claims.models.size import parameters_of
from icl_claims.pytest_plugin import collection, columns, engine_options, engine_trials, fixtures, watching, workers
from icl_claims.pytest_plugin.budget import INTERRUPTED, Budget, Interrupted, budget_of
from icl_claims.pytest_plugin.events import Said, Tell, TrialRun, TrialsUnderWay
from icl_claims.pytest_plugin.records import UNFINISHED
from icl_claims.pytest_plugin.rounds_of_run import RoundsOfRun
from icl_claims.pytest_plugin.verdict_cache import VerdictCache

DONE = "done"


class TrialsOfRun:
    """Gives the trials of a column: they are run in rounds when a claim asks for the first time."""

    def __init__(self, config: pytest.Config, verdicts: VerdictCache) -> None:
        self._config, self._verdicts = config, verdicts
        self._budget = budget_of(config)
        self._drawn: set[str] = set()
        self._begun: set[str] = set()
        self._load = _OneModel()
        chosen = engine_options.engine_of(config)
        tell = watching.teller_of(config)
        self._engine = None if chosen.is_local else engine_trials.EngineOfRun(config, chosen, self._budget, tell)
        self.rounds = cache(self._rounds)

    def __call__(self, key: str, test: str) -> TrialsEvidence | AbsentEvidence:
        """The trials of a column, the first by default, that decide the claim of a test."""
        choices = columns.choices_of(self._config, key)
        if reason := self._why_not(choices):
            return AbsentEvidence("trials", reason, _details(choices))
        return self.rounds(key).evidence(test)

    def digest(self, key: str, test: str) -> str:
        """SHA-256 of all that the trials follow from that decide a claim; empty if they cannot be run here."""
        return "" if self._why_not(columns.choices_of(self._config, key)) else self.rounds(key).digest(test)

    def facts(self, key: str, test: str, verdict: Verdict) -> dict[str, Any]:
        """What is told of a claim beside its verdict: the looks at it, and what it waits for if it is undecided."""
        choices = columns.choices_of(self._config, key)
        if reason := self._why_not(choices):
            waits = {**asdict(not_begun(next(looks(choices.draws)))), "seconds": None}
            return {"outlook": waits} if reason.startswith(UNFINISHED) else {}
        found = self.rounds(key).facts_of(test, verdict)
        if (waits := found["outlook"]) and waits["seconds"] is not None:
            waits["seconds"] = round(waits["seconds"] / workers.worker_of(self._config).count, 1)
        return found

    def draws(self, key: str, test: str) -> str:
        """How many draws a claim of trials that were run was looked at after, and why no more."""
        return self.rounds(key).draws_of(test)

    def pictures(self, key: str) -> dict[str, Any]:
        """By column, the numbers behind the figures, once in a process: read where all that they follow from is known.

        Another process may have drawn fewer methods; what both have is the same.
        """
        if key in self._drawn or self._why_not(columns.choices_of(self._config, key)):
            return {}
        self._drawn.add(key)
        rounds = self.rounds(key)
        drawn = self._verdicts.pictures(rounds.digest_of_all)
        if not drawn:
            evidence = rounds.everything()
            drawn = {
                str(evidence.details["profile"]): figure_data(evidence, [MAIN] if MAIN in evidence.results else [])
            }
            self._verdicts.put_pictures(rounds.digest_of_all, drawn)
        return drawn

    def _why_not(self, choices: profiles.Choices) -> str:
        """Why the trials of a column cannot be run here, or read; empty where they can."""
        reason = why_not(choices)
        if not reason and choices.model_reference == EMBEDDED and not embedded.is_fetched():
            return f"{UNFINISHED}, and its model was not fetched yet" if self._budget.over else ""
        return reason

    def _rounds(self, key: str) -> RoundsOfRun:
        choices, worker = columns.choices_of(self._config, key), workers.worker_of(self._config)
        budget = self._budget_of(key)
        tell = watching.teller_of(self._config)
        choices = replace(choices, device=worker.device(choices.device, torch.cuda.device_count()))
        asked = collection.asked_of_trials(self._config)
        with fixtures.visible(self._config) as say:
            run = plan.resolve(choices, say=say, own=asked.own_tasks, papers=asked.papers_tasks)
        studies = studies_of(run, asked.own_study)

        def load() -> LanguageModel:
            return self._load(choices, lambda text: tell(Said(choices.profile.name, text)))

        since = workers.beginning(self._config) if self._config.getoption("claims_again") else None
        execute = Execution(run, load, worker, TrialStore(since=since), budget, tell)
        on_engine = None if self._engine is None else engine_trials.EngineTrials(run, self._engine, budget)
        claims = collection.selected_claims(self._config, key)
        rounds = RoundsOfRun(
            run,
            studies,
            claims,
            on_engine or execute,
            self._verdicts,
            _details(choices, run, columns.column_of(self._config, key).parameters),
            going_on=budget.set,
            tell=tell,
            worker=worker,
        )
        if on_engine is not None:
            on_engine.further = rounds.further
        return rounds

    def _budget_of(self, key: str) -> Budget:
        """The whole budget; of several models each gets its part of what those before it left."""
        waiting = {one.key for one in columns.columns_of(self._config)} - self._begun
        self._begun.add(key)
        asked = [one for one in waiting if collection.selected_claims(self._config, one)]
        return self._budget.part(len(asked)) if columns.of_models(self._config) else self._budget


class _OneModel:
    """Loads models and keeps the last: no two are in memory at once."""

    def __init__(self) -> None:
        self._of: tuple[str | None, ...] = ()
        self._model: LanguageModel | None = None

    def __call__(self, choices: profiles.Choices, say: Callable[[str], None]) -> LanguageModel:
        of = (choices.model_reference, choices.device, choices.dtype)
        if self._model is None or self._of != of:
            self._model = None  # before the next takes its room
            say(f"Trials of profile {choices.profile.name}: loading {choices.model_reference}.")
            self._of, self._model = of, choices.load_model(say)
        return self._model


def _details(choices: profiles.Choices, run: plan.Run | None = None, parameters: int | None = None) -> dict[str, Any]:
    known = {"profile": choices.profile.name, "changed": list(choices.changed)}
    if run is None:
        return known
    reference = choices.model_reference
    size = {"parameters": found} if (found := parameters or parameters_of(reference)) is not None else {}
    of_model = {"model": described(reference), **size}
    return {**known, "learning_rates": run.rates.origin, **of_model, "data": choices.source.name}


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
        tell: Told how they go.
    """

    run: plan.Run
    load: Callable[[], LanguageModel]
    worker: workers.Worker
    store: TrialStore
    budget: Budget
    tell: Tell

    def __call__(self, what: str, specs: Sequence[TrialSpec]) -> Iterator[tuple[TrialSpec, TrialResult | Exception]]:
        """Run or read trials, each given when it is done, up to the end of the budget."""
        done = dict.fromkeys(range(len(specs)), False)
        order, profile = self.worker.in_its_order(list(enumerate(specs))), self.run.choices.profile.name

        def report(title: str, step: str, part: float = 0.0) -> None:
            so_far = sum(done.values()) + min(part, 0.999)
            self.tell(TrialsUnderWay(profile, what, so_far, len(specs), f"{title}: {step}", self.budget.set))

        for ask in (self.store.get_or_run_unless_busy, self.store.get_or_run):
            for number, spec in order:
                if done[number] or (self.over and self.missing(spec) is not None):
                    continue
                title = f"trial {number + 1}, {self.run.data[spec.task].task.title}"
                found = self._result(ask, spec, partial(report, title))
                if found is not None:
                    done[number] = True
                    report(title, DONE)
                    yield spec, found

    def missing(self, spec: TrialSpec) -> TrialSpec | None:
        """What is not stored of a trial; None if all is."""
        return self.store.missing(spec)

    @property
    def over(self) -> bool:
        """Whether no trial is begun any more."""
        return self.budget.over

    def _result(
        self, ask: Any, spec: TrialSpec, progress: Callable[[str, float], None]
    ) -> TrialResult | Exception | None:
        def run_one(missing: TrialSpec) -> TrialResult:
            def told(step: str, part: float) -> None:
                self.budget.check()
                progress(step, part)

            model, data = self.load(), self.run.data[missing.task]
            checkpoint, tokens = self.store.checkpoint(missing), self.run.choices.tokens_per_batch
            began = time.monotonic()
            result = trial.run_trial(missing, model, data, told, checkpoint=checkpoint, tokens_per_batch=tokens)
            self.tell(TrialRun(self.run.choices.profile.name, missing.task, time.monotonic() - began))
            return result

        try:
            found: TrialResult | None = ask(spec, run_one)
        except Interrupted:
            return None
        except KeyboardInterrupt:
            if self.budget.over:
                raise
            self.budget.end()
            self.tell(Said(self.run.choices.profile.name, INTERRUPTED))
            return None
        except Exception as error:
            return error
        return found
