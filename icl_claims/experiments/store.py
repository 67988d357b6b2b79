"""Trials that were run before, by the key of their specification: a sealed folder each, shared by all processes."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from icl_claims.errors import StoreError, StoreWarning
from icl_claims.experiments.result import TrialResult
from icl_claims.storage.cache_folder import cache_folder
from icl_claims.storage.checkpoint import Checkpoint
from icl_claims.storage.checksummed import MANIFEST, Manifest, read_checksummed, write_checksummed

PARTIAL, DAMAGED, LOCK = ".partial", ".damaged", ".lock"
Run = Callable[[], TrialResult]
_BY_NAME = ("log_probabilities", "content_free", "by_layer", "gradient_norms", "drift")
_PLAIN = ("spec", "losses", "failures", "seconds", "provenance")


def default_store() -> Path:
    """The folder of trials in the cache."""
    return cache_folder() / "trials"


class TrialStore:
    """Keeps the results of trials, so that none is run twice, by any number of processes.

    Where nothing can be written, trials are run all the same, and a warning says that they are not kept.

    Args:
        folder: where they are kept; made when the first is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._can_be_written = True

    def get_or_run(self, key: str, run: Run) -> TrialResult:
        """The trial of a key, run now if it was never run; other processes wait for it meanwhile."""
        found = self._whole(key)
        if found is not None:
            return found
        with self._locked(key, wait=True):
            return self.get(key) or self._run(key, run)

    def get_or_run_unless_busy(self, key: str, run: Run) -> TrialResult | None:
        """The same, but None where another process is running the trial."""
        found = self._whole(key)
        if found is not None:
            return found
        with self._locked(key, wait=False) as mine:
            return (self.get(key) or self._run(key, run)) if mine else None

    def holds(self, key: str) -> bool:
        """Whether the trial of a key was run before."""
        return (self.folder / key / MANIFEST).is_file()

    def get(self, key: str) -> TrialResult | None:
        """The trial of a key, or None; a damaged one is set aside with a warning."""
        try:
            return self._read(key)
        except StoreError as error:
            self._set_aside(key, error)
            return None

    def partial(self, key: str) -> Checkpoint | None:
        """Where to keep what is finished of the trial of a key, only for the process that runs it; None for nowhere."""
        return Checkpoint(self.folder / f"{key}{PARTIAL}", key) if self._can_be_written else None

    def _whole(self, key: str) -> TrialResult | None:
        """The trial of a key, if it is there and whole; nobody is kept from writing it meanwhile."""
        try:
            return self._read(key)
        except StoreError:
            return None

    def _read(self, key: str) -> TrialResult | None:
        folder = self.folder / key
        return _result(*read_checksummed(folder, key)) if os.path.lexists(folder) else None

    def _run(self, key: str, run: Run) -> TrialResult:
        result, partial = run(), self.partial(key)
        if partial is None:
            return result
        try:
            self._keep(key, result)
        except OSError:
            partial.remove()  # it may be what fills the disk, and is not needed any more
            try:
                self._keep(key, result)
            except OSError as error:
                self._give_up(error)
        partial.remove()
        return result

    def _keep(self, key: str, result: TrialResult) -> None:
        numbers = {"query_rows": result.query_rows, "gold": result.gold}
        for group in _BY_NAME:
            numbers |= {f"{group}|{name}": values for name, values in getattr(result, group).items()}
        write_checksummed(self.folder / key, key, {name: getattr(result, name) for name in _PLAIN}, numbers)

    @contextmanager
    def _locked(self, key: str, *, wait: bool) -> Iterator[bool]:
        """Whether nobody else runs the trial of a key meanwhile; where no lock can be had, nobody can keep it."""
        lock, mine = FileLock(self.folder / f"{key}{LOCK}"), True
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=wait)
        except Timeout:
            mine = False
        except (OSError, NotImplementedError) as error:
            self._give_up(error)
        try:
            yield mine
        finally:
            lock.release()

    def _give_up(self, why: Exception) -> None:
        if self._can_be_written:
            _warn(f"Trials are not kept: {self.folder} cannot be written ({why}).")
        self._can_be_written = False

    def _set_aside(self, key: str, error: StoreError) -> None:
        aside = self.folder / f"{key}{DAMAGED}"
        try:
            shutil.rmtree(aside, ignore_errors=True)
            (self.folder / key).rename(aside)
        except OSError as failure:
            _warn(f"{error} It is run again, and could not be set aside ({failure}).")
        else:
            _warn(f"{error} It was set aside as {aside.name} and is run again.")


def _result(manifest: Manifest, numbers: dict[str, np.ndarray]) -> TrialResult:
    groups: dict[str, Any] = {group: {} for group in _BY_NAME}
    for name, values in numbers.items():
        group, _, inner = name.partition("|")
        if inner:
            groups[group][inner] = values
    try:
        plain = {name: manifest.facts[name] for name in _PLAIN}
        return TrialResult(query_rows=numbers["query_rows"], gold=numbers["gold"], **groups, **plain)
    except KeyError as error:
        raise StoreError(f"The stored trial {manifest.name[:12]} lacks a part", expected=str(error)) from error


def _warn(text: str) -> None:
    warnings.warn(text, StoreWarning, stacklevel=2)
