"""The trials of a run of claims on an engine: what `Execution` does in this process, other processes do here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from icl_claims.engines.choices import EngineChoice
from icl_claims.engines.dispatch import Dispatch
from icl_claims.engines.engine import Order
from icl_claims.engines.kept import InStore
from icl_claims.engines.ordering import order_of, setting_of, witnessed
from icl_claims.engines.worker import Setting
from icl_claims.errors import EngineError
from icl_claims.experiments.plan import Run
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.pytest_plugin.budget import INTERRUPTED, Budget
from icl_claims.pytest_plugin.events import Said, Tell, TrialRun, TrialsUnderWay
from icl_claims.pytest_plugin.workers import beginning
from icl_claims.storage.files import cache_folder
from icl_claims.storage.store import default_store


class EngineOfRun:
    """The one engine of a run, which is started when the first trial is to be run, and ends with the run.

    Args:
        config: Of the run.
        choice: Which engine.
        budget: When no further trial is begun, for whoever asks for trials now.
        tell: Told how trials go.
    """

    def __init__(self, config: pytest.Config, choice: EngineChoice, budget: Budget, tell: Tell) -> None:
        self._choice, self.budget, self.tell = choice, budget, tell
        self._since = beginning(config) if config.getoption("claims_again") else None
        self.store = TrialStore(since=self._since)
        self._open = ExitStack()
        self._failure: EngineError | None = None
        config.add_cleanup(self._open.close)

    @cached_property
    def dispatch(self) -> Dispatch:
        """What sends trials to the engine, which is started now.

        Raises:
            EngineError: It cannot be started.
        """
        if self._failure is not None:  # which may have taken a minute
            raise self._failure
        try:
            engine = self._choice.start(cache_folder() / "jobs")
        except EngineError as error:
            self._failure = error
            raise
        self._open.callback(engine.close)
        return Dispatch(engine, InStore(self.store), lambda: self.budget.over, self._say)

    def setting(self, run: Run) -> Setting:
        """What workers are told of the trials of a profile."""
        return setting_of(run.choices, run.tasks, default_store(), self._witness, self._since)

    @cached_property
    def _witness(self) -> Path:
        return self._open.enter_context(witnessed(default_store()))

    def _say(self, text: str) -> None:
        self.tell(Said("", text))


@dataclass(eq=False)
class EngineTrials:
    """Runs the trials of a profile on an engine, or reads them from the store.

    The end of the budget lets those go on that were asked for and are under way; Ctrl-C ends all.

    Args:
        run: What the reader chose.
        engine: That of the run.
        budget: When no further trial is begun for these.
        further: Gives the trials that may be asked for next, the most likely first.
    """

    run: Run
    engine: EngineOfRun
    budget: Budget
    further: Callable[[], Iterable[TrialSpec]] = tuple

    def __call__(self, what: str, specs: Sequence[TrialSpec]) -> Iterator[tuple[TrialSpec, TrialResult | Exception]]:
        """Run or read trials, each given when it is done, up to the end of the budget."""
        self.engine.budget, profile = self.budget, self.run.choices.profile.name
        for done, (spec, found) in enumerate(self._found(specs), 1):
            now = f"{self.run.data[spec.task].task.title}: done{self._under_way}"
            self.engine.tell(TrialsUnderWay(profile, what, done, len(specs), now, self.budget.set))
            yield spec, found

    def missing(self, spec: TrialSpec) -> TrialSpec | None:
        """What is not stored of a trial; None if all is."""
        return self.engine.store.missing(spec)

    @property
    def over(self) -> bool:
        """Whether no trial is begun any more."""
        return self.budget.over

    def order(self, spec: TrialSpec) -> Order:
        """The order for a trial."""
        return order_of(spec, self._setting)

    def ran(self, spec: TrialSpec, seconds: float) -> None:
        """Tell that a trial was run."""
        self.engine.tell(TrialRun(self.run.choices.profile.name, spec.task, seconds))

    @cached_property
    def _setting(self) -> Setting:
        return self.engine.setting(self.run)

    @property
    def _under_way(self) -> str:
        known: Dispatch | None = vars(self.engine).get("dispatch")
        return "" if known is None else f", {known.under_way} under way"

    def _found(self, specs: Sequence[TrialSpec]) -> Iterator[tuple[TrialSpec, TrialResult | Exception]]:
        """What is stored, then what is run: where all is stored no engine is started."""
        kept, lacking = InStore(self.engine.store), list[TrialSpec]()
        for spec in specs:
            found = kept.found(spec)
            if isinstance(found, TrialResult):
                yield spec, found
            else:
                lacking.append(spec)
        if not lacking or (self.over and "dispatch" not in vars(self.engine)):
            return
        try:
            yield from self.engine.dispatch(lacking, self.further(), self)
        except KeyboardInterrupt:
            if self.over:
                raise
            self.budget.end()
            self.engine.dispatch.stop()
            self.engine.tell(Said(self.run.choices.profile.name, INTERRUPTED))
