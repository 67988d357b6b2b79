"""Trials that were run before: their results in a store, under the keys of their specifications."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from icl_claims.errors import StoreError
from icl_claims.experiments.result import BY_ENTRY, TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.storage.cache_folder import cache_folder
from icl_claims.storage.checkpoint import Checkpoint
from icl_claims.storage.groups import flat, grouped
from icl_claims.storage.store import Content, Store

Run = Callable[[], TrialResult]
_ROWS = ("query_rows", "gold")
_GROUPS = ("log_probabilities", "content_free", "by_layer", "over_queries", "gradient_norms", "drift")
_FACTS = ("losses", "failures", "seconds", "provenance")


def default_store() -> Path:
    """The folder of trials in the cache."""
    return cache_folder() / "trials"


class TrialStore:
    """Caches results, so that no trial is run twice, by any number of processes.

    Args:
        folder: Where they are cached; made with the first. By default the one in the cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._store = Store(folder or default_store())

    def get_or_run(self, spec: TrialSpec, run: Run) -> TrialResult:
        """The result of a trial, run now if it never was; other processes wait for it meanwhile."""
        return unpacked(spec, self._store.get_or_run(spec.key(), lambda: packed(spec, run())))

    def get_or_run_unless_busy(self, spec: TrialSpec, run: Run) -> TrialResult | None:
        """The same, but None if another process is running the trial."""
        found = self._store.get_or_run_unless_busy(spec.key(), lambda: packed(spec, run()))
        return None if found is None else unpacked(spec, found)

    def holds(self, spec: TrialSpec) -> bool:
        """Whether a trial was run before."""
        return self._store.holds(spec.key())

    def checkpoint(self, spec: TrialSpec) -> Checkpoint | None:
        """Checkpoint of a trial, for the process running it; None if the store is not writable."""
        return self._store.checkpoint(spec.key())


def packed(spec: TrialSpec, result: TrialResult) -> Content:
    """A result as facts and arrays.

    Args:
        spec: The specification of the trial.
        result: Its result.
    """
    index, arrays = flat({group: getattr(result, group) for group in _GROUPS})
    facts = {"spec": spec.record(), "index": index, **{name: getattr(result, name) for name in _FACTS}}
    return facts, {name: getattr(result, name) for name in _ROWS} | arrays


def unpacked(spec: TrialSpec, content: Content) -> TrialResult:
    """The result that `packed` made into facts and arrays.

    Raises:
        StoreError: a part of it is missing.
    """
    facts, arrays = content
    try:
        rows: dict[str, Any] = {name: arrays[name] for name in _ROWS}
        groups: dict[str, Any] = grouped(facts["index"], arrays, _GROUPS, BY_ENTRY)
        return TrialResult(spec=spec, **rows, **groups, **{name: facts[name] for name in _FACTS})
    except KeyError as error:
        todo = "Another version of the project wrote it: delete its folder."
        raise StoreError(f"The stored trial {spec.key()[:12]} lacks a part", expected=str(error), todo=todo) from error
