"""Trials of another store taken into this one: each that is whole and not here yet, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout

from icl_claims.errors import StoreError, StoreWarning, UsageError
from icl_claims.experiments.spec import code_digest, key_of
from icl_claims.storage import checksummed, store
from icl_claims.storage.store import GROUP, Content

Outcome = Literal["imported", "here", "conflict", "busy", "damaged", "format", "code", "unfinished", "foreign"]
"""What came of an entry: copied; here already, the same; here with other numbers; being run here; damaged there; of
another format; by other code; interrupted or under way there; nothing that a run wrote."""
_UNFINISHED = (store.PARTIAL, checksummed.BESIDE)
_KEY = re.compile(f"[0-9a-f]{{{2 * GROUP}}}")
_FILES = (checksummed.NUMBERS, checksummed.MANIFEST)
_BESIDE_ARRAYS = ("losses", "failures")


@dataclass(frozen=True)
class Offered:
    """An entry of another store, and what came of it.

    Args:
        name: Of the entry there; the key, where it is one.
        why: Why it was not imported, or what gave way to it, as a clause; empty where the outcome says it all.
        size: Bytes that were copied.
    """

    name: str
    outcome: Outcome
    why: str = ""
    size: int = 0


def store_in(folder: Path) -> Path:
    """The folder of trials in a cache folder, or this folder itself where trials lie in it.

    Raises:
        UsageError: There is neither.
        StoreError: Nobody may look into it.
    """
    inside = folder / store.default_store().name
    try:
        if inside.is_dir():
            return inside
        names = [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        names = []
    except OSError as error:
        raise StoreError(f"{folder} cannot be read", got=error.strerror or str(error)) from error
    if any(_KEY.fullmatch(name.partition(".")[0]) for name in names):
        return folder
    got = "a folder without any" if folder.is_dir() else "a file" if folder.exists() else "nothing"
    todo = "Name the folder that ICL_CLAIMS_CACHE names on the other machine, or the folder `trials` in it."
    raise UsageError(f"No stored trials lie in {folder}", expected="a cache folder", got=got, todo=todo)


def offered_by(theirs: Path, ours: Path) -> list[Path]:
    """What lies in another store, for `import_trial`, in the order of its keys.

    Raises:
        UsageError: Both are one store.
        StoreError: It cannot be read.
    """
    if theirs.resolve() == ours.resolve() or (ours.exists() and theirs.samefile(ours)):
        raise UsageError(f"{theirs} is the store that it would be imported into", expected="that of another machine")
    try:
        return sorted(path for path in theirs.iterdir() if path.suffix != store.LOCK)
    except OSError as error:
        raise StoreError(f"{theirs} cannot be read", got=error.strerror or str(error)) from error


def import_trial(folder: Path, ours: Path) -> Offered:
    """Copy a trial of another store into ours, if it is whole and not here yet; atomically, or say why not.

    All checksums are verified, also those of the copy. What is here stays, but that a damaged trial is set aside for a
    whole one. Of a trial that both hold with other numbers ours is kept: verdicts that were reached here rest on it.
    Methods that trials of one setting hold are gathered when they are asked for. Verdicts and figures are not imported:
    they follow from trials, code and versions, and are reached here again.

    Raises:
        StoreError: Nothing can be written into ours; what was imported before stays.
    """
    key = folder.name.partition(".")[0]
    if not _KEY.fullmatch(key) or not _is_plain(folder):
        return Offered(folder.name, "foreign", "no folder of plain files under the key of a trial")
    if folder.suffix in _UNFINISHED:
        return Offered(key, "unfinished")
    if folder.suffix:
        return Offered(key, "damaged", "it was set aside there")
    try:
        manifest, arrays = checksummed.read_checksummed(folder, key)
        files = {name: (folder / name).read_bytes() for name in _FILES}
    except (StoreError, OSError) as error:
        return Offered(key, "format" if _of_another_format(folder) else "damaged", str(error).rstrip("."))
    content = manifest.facts, arrays
    if refused := _not_ours(key, *content):
        return Offered(key, *refused)
    return _known(key, content, ours) or _copy(files, key, content, ours)


def _known(key: str, content: Content, ours: Path) -> Offered | None:
    """What is said of a trial that is here already; None where none is, or a damaged one."""
    here = store.Store(ours).read(key)
    if here is None:
        return None
    if (how := _difference(here, content)) is None:
        return Offered(key, "here")
    return Offered(key, "conflict", f"{how}; the one here is kept, for verdicts that were reached here rest on it")


def _copy(files: dict[str, bytes], key: str, content: Content, ours: Path) -> Offered:
    """Write a trial under the lock of its setting, unless a run was faster."""
    try:
        ours.mkdir(parents=True, exist_ok=True)
        with FileLock(ours / f"{key[:GROUP]}{store.LOCK}").acquire(blocking=False):
            return _known(key, content, ours) or _place(files, key, ours)
    except Timeout:
        return Offered(key, "busy")
    except (OSError, NotImplementedError) as error:  # the latter from FileLock, on a file system without locks
        why = getattr(error, "strerror", None) or str(error)
        todo = "Make room, or set ICL_CLAIMS_CACHE to a folder of your own, and import again: it goes on from there."
        raise StoreError(f"Nothing can be imported into {ours}", got=why, todo=todo) from error


def _place(files: dict[str, bytes], key: str, ours: Path) -> Offered:
    """Write files beside the place of a trial, verify them there, and rename their folder."""
    beside = ours / f"{key}{checksummed.BESIDE}"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir()
        for name, content in files.items():
            (beside / name).write_bytes(content)
        manifest, _ = checksummed.read_checksummed(beside, key)
        os.utime(beside, (manifest.written.timestamp(),) * 2)
        aside = _set_damaged_aside(key, ours)
        beside.rename(ours / key)
    except StoreError as error:
        return Offered(key, "damaged", f"it changed while it was copied: {error}".rstrip("."))
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    shutil.rmtree(ours / f"{key}{store.PARTIAL}", ignore_errors=True)
    return Offered(key, "imported", aside, sum(map(len, files.values())))


def _set_damaged_aside(key: str, ours: Path) -> str:
    """Make room for a whole trial where a damaged one is here; in words."""
    if not os.path.lexists(ours / key):
        return ""
    with warnings.catch_warnings(action="ignore", category=StoreWarning):
        store.Store(ours).get(key)
    return f"the damaged one here was set aside as {key[:12]}...{store.DAMAGED}"


def _is_plain(folder: Path) -> bool:
    """Whether an entry is a folder whose files are no links, devices or pipes; some may be missing."""
    files = [folder / name for name in _FILES]
    if folder.is_symlink() or not folder.is_dir():
        return False
    return all(path.is_file() and not path.is_symlink() for path in files if os.path.lexists(path))


def _of_another_format(folder: Path) -> bool:
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((folder / checksummed.MANIFEST).read_bytes())["format"]
        return bool(found != checksummed.FORMAT)
    return False


def _not_ours(key: str, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[Outcome, str] | None:
    """Why no run of this code would read a content as the trial of its key; None if one would."""
    try:
        spec, named = facts["spec"], {name for _, name, *_ in facts["index"]}
        if spec["code"] != code_digest():
            return "code", ""
        whole = named <= arrays.keys() and {*_BESIDE_ARRAYS, "provenance", "seconds"} <= facts.keys()
        if whole and key == key_of(spec):
            return None
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    return "foreign", "its content is not a trial of its key"


def _difference(here: Content, there: Content) -> str | None:
    """In which way two trials of one key hold other numbers; None if they hold the same."""
    beside = [json.dumps([facts[name] for name in _BESIDE_ARRAYS]) for facts, _ in (here, there)]
    ours, theirs = here[1], there[1]
    if ours.keys() != theirs.keys() or any(ours[name].shape != theirs[name].shape for name in ours):
        return "both hold it, of other methods or queries"
    different = [name for name in ours if not np.array_equal(ours[name], theirs[name], equal_nan=True)]
    if not different:
        return None if beside[0] == beside[1] else "both hold it, with other losses or failures"
    most = max(_apart(ours[name].astype(float), theirs[name].astype(float)) for name in different)
    return f"both hold it, with numbers that differ by up to {most:.1g}"


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        apart = np.where(np.isnan(one) & np.isnan(other) | (one == other), 0.0, np.abs(one - other))
    return float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))
