"""The trials that a process holds: one for each draw and kind of weights, with all methods that were asked of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from icl_claims.evidence.trial_columns import Results
from icl_claims.evidence.trials import TrialsEvidence
from icl_claims.experiments.plan import Run
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.spec import TrialSpec, joined
from icl_claims.experiments.studies import STUDIES, Study
from icl_claims.pytest_plugin.method_costs import MethodCosts

Setting = tuple[str, str, int, int]
"""A task, the weights, a seed and a permutation: trials that differ in what is compared alone."""


class Execute(Protocol):
    """Runs trials, or reads them where they are stored."""

    def __call__(self, what: str, specs: Sequence[TrialSpec], /) -> Iterator[tuple[TrialSpec, TrialResult | Exception]]:
        """Give trials when they are done, in words for whoever waits; those that are not given were stopped."""

    def missing(self, spec: TrialSpec, /) -> TrialSpec | None:
        """What is not stored of a trial; None if all is."""

    @property
    def over(self) -> bool:
        """Whether no trial is run any more."""


@dataclass(eq=False)
class HeldTrials:
    """Trials that were run or read, by what they are of.

    Args:
        run: What the reader chose.
        studies: Those that may be run.
        execute: Runs trials.
        details: Of the profile, for reports.
        costs: How long the methods took in them.
    """

    run: Run
    studies: tuple[Study, ...]
    execute: Execute
    details: dict[str, Any]
    _held: dict[Setting, TrialResult] = field(default_factory=dict)
    _evidence: dict[int, TrialsEvidence] = field(default_factory=dict)
    costs: MethodCosts = field(default_factory=MethodCosts)

    def hold(self, what: str, specs: Iterable[TrialSpec]) -> tuple[TrialSpec, Exception] | None:
        """Run trials and hold their results, beside what is held of them already, up to one that fails."""
        missing = [self._with_held(spec) for spec in specs if not self.holds(spec)]
        for spec, found in self.execute(what, missing) if missing else ():
            if isinstance(found, Exception):
                return spec, found
            self._held[setting_of(spec)] = found
            self._evidence.clear()
            self.costs.note(found)
        return None

    def holds(self, spec: TrialSpec) -> bool:
        """Whether all of a trial is here."""
        held = self._held.get(setting_of(spec))
        return held is not None and _covers(held.spec, spec)

    def results(self, specs: Iterable[TrialSpec]) -> list[TrialResult]:
        """The results of those trials that are here."""
        return [self._held[key] for spec in specs if (key := setting_of(spec)) in self._held]

    def seconds(self, specs: Iterable[TrialSpec]) -> float:
        """How long a process took for trials, as far as they are here."""
        answering = [(self._held.get(setting_of(spec)), {method.name for method in spec.answering}) for spec in specs]
        return sum(held.seconds_of(names) for held, names in answering if held is not None)

    def _with_held(self, spec: TrialSpec) -> TrialSpec:
        held = self._held.get(setting_of(spec))
        both = spec if held is None else next(iter(joined((held.spec, spec)).values()))
        return both if _covers(both, spec) else spec  # there may be another method of a name

    def at(self, look: int, learned: Mapping[str, int]) -> TrialsEvidence:
        """What the first draws of every task say; `learned` gives how many apart told whether the model learns it."""
        if look not in self._evidence:
            ran = {study.name: self._results(study, look, learned) for study in self.studies}
            own = (*STUDIES.values(), *(study for study in self.studies if study.name not in STUDIES))
            left_out = () if self.run.choices.fixed else tuple(task for task, draws in learned.items() if not draws)
            self._evidence[look] = TrialsEvidence(ran, self.details, own, left_out)
        return self._evidence[look]

    def _results(self, study: Study, look: int, learned: Mapping[str, int]) -> Results:
        results: dict[str, list[TrialResult]] = {}
        for task in self.run.tasks:
            many = (learned.get(task.name) or self.run.choices.draws) if study.apart else look
            for seed, permutation in self.run.choices.runs(task, apart=study.apart, draws=many):
                held = self._held.get((task.name, study.weights, seed, permutation))
                if held is not None:
                    results.setdefault(task.name, []).append(held)
        return results


def setting_of(spec: TrialSpec) -> Setting:
    """What a trial is of, whatever is compared."""
    return spec.task, spec.weights, spec.seed, spec.permutation


def _covers(held: TrialSpec, asked: TrialSpec) -> bool:
    methods, metrics = {*asked.methods} <= {*held.methods}, {*asked.metrics} <= {*held.metrics}
    return methods and metrics and (held.diagnostics or not asked.diagnostics)
