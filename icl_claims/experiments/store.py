"""Trials that were run before, by the key of their specification: safetensors beside a JSON manifest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from platformdirs import user_cache_path
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from icl_claims.errors import StoreError
from icl_claims.experiments.result import TrialResult

ARRAYS, MANIFEST = "numbers.safetensors", "trial.json"
_NESTED = ("log_probabilities", "content_free", "by_layer", "gradient_norms", "drift")


def default_store() -> Path:
    """The folder of trials: under the environment variable ICL_CLAIMS_CACHE, or the user's cache."""
    chosen = os.environ.get("ICL_CLAIMS_CACHE")
    return (Path(chosen) if chosen else user_cache_path("icl_claims")) / "trials"


class TrialStore:
    """Keeps the results of trials, so that none is run twice, by any number of processes.

    Args:
        folder: where they are kept; made when the first is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get_or_run(self, key: str, run: Callable[[], TrialResult]) -> TrialResult:
        """The trial of a key, run now if it was never run; other processes wait for it meanwhile.

        Where the folder cannot be written, the trial is run all the same and a warning says that it was not kept.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / f"{key}.lock")
            lock.acquire()
        except OSError as error:
            warnings.warn(f"Trials are not kept: {self.folder} cannot be written ({error}).", stacklevel=2)
            return self.get(key) or run()
        try:
            found = self.get(key)
            if found is None:
                found = run()
                self._keep(key, found)
            return found
        finally:
            lock.release()

    def holds(self, key: str) -> bool:
        """Whether the trial of a key was run before."""
        return (self.folder / key / MANIFEST).is_file()

    def get(self, key: str) -> TrialResult | None:
        """The trial of a key, or None; a damaged one is set aside with a warning."""
        folder = self.folder / key
        if not (folder / MANIFEST).is_file():
            return None
        try:
            return _read(folder)
        except StoreError as error:
            aside = folder.with_name(f"{key}.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
            warnings.warn(f"{error} It was set aside as {aside.name} and is run again.", stacklevel=2)
            return None

    def _keep(self, key: str, result: TrialResult) -> None:
        try:
            with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
                made = Path(scratch) / key
                made.mkdir()
                _write(made, result)
                made.rename(self.folder / key)
        except OSError as error:
            warnings.warn(f"A trial could not be kept in {self.folder}: {error}.", stacklevel=2)


def _write(folder: Path, result: TrialResult) -> None:
    arrays = {"query_rows": result.query_rows, "gold": result.gold}
    for group in _NESTED:
        arrays |= {f"{group}|{name}": values for name, values in getattr(result, group).items()}
    save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, folder / ARRAYS)
    manifest = {
        "sha256": _sha256(folder / ARRAYS),
        **{name: getattr(result, name) for name in ("spec", "losses", "failures", "seconds", "provenance")},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _read(folder: Path) -> TrialResult:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest.pop("sha256") != _sha256(folder / ARRAYS):
            raise StoreError(f"The stored trial {folder.name[:12]} is damaged", got="another checksum")
        arrays = load_file(folder / ARRAYS)
        groups: dict[str, Any] = {group: {} for group in _NESTED}
        for name, values in arrays.items():
            group, _, inner = name.partition("|")
            if inner:
                groups[group][inner] = values
        return TrialResult(query_rows=arrays["query_rows"], gold=arrays["gold"], **groups, **manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise StoreError(f"The stored trial {folder.name[:12]} cannot be read", got=str(error)) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
