"""Trials that an engine ran, in the store of the run."""

from __future__ import annotations

from dataclasses import dataclass

from icl_claims.experiments.result import TrialResult, unpacked_result
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.storage.store import Content


class _LackingError(Exception):
    """What a store would have run now."""

    def __init__(self, spec: TrialSpec) -> None:
        super().__init__()
        self.spec = spec


@dataclass(frozen=True)
class InStore:
    """Trials in a store, into which workers that share it have put theirs already."""

    store: TrialStore

    def missing(self, spec: TrialSpec) -> TrialSpec | None:
        """What is not there of a trial, which is not read; None if all is."""
        return self.store.missing(spec)

    def found(self, spec: TrialSpec) -> TrialResult | TrialSpec:
        """The result of a trial; what would have to be run of it where something is missing or damaged."""

        def run(missing: TrialSpec) -> TrialResult:
            raise _LackingError(missing)

        try:
            return self.store.get_or_run_unless_busy(spec, run) or self.store.missing(spec) or spec
        except _LackingError as lacking:
            return lacking.spec

    def put(self, spec: TrialSpec, run: TrialSpec, content: Content) -> TrialResult | TrialSpec:
        """The same, once what was run of it is there."""

        def came(missing: TrialSpec) -> TrialResult:
            if missing.key() != run.key():
                raise _LackingError(missing)
            return unpacked_result(run, content)

        try:
            return self.store.get_or_run(spec, came)
        except _LackingError as lacking:
            return lacking.spec
