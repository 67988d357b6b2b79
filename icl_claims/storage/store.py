"""A store of facts and arrays by key, shared by all processes; its entries are listed, checked, and removed."""

import os
import shutil
import time
import warnings
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout

from icl_claims.errors import StoreError, StoreWarning
from icl_claims.storage import checksummed, files

PARTIAL, DAMAGED, LOCK = ".partial", ".damaged", ".lock"
GROUP = 32
"""Contents whose keys begin with the same so many letters belong together: one process at a time adds to them."""
SAME_TIME = 2_000_000_000
"""Nanoseconds in which a folder may change twice and bear one time, on file systems with coarse clocks."""
Content = tuple[dict[str, Any], dict[str, np.ndarray]]
"""Plain data, and arrays by name."""


class Store:
    """Caches contents by key, for any number of processes.

    Where nothing can be written, a warning says that nothing is cached, and all else goes on.

    Args:
        since: What was written before is computed again, and then replaced; None if nothing is.
    """

    def __init__(self, folder: Path, *, since: datetime | None = None) -> None:
        self.folder, self._since = folder, since
        self._can_be_written = True
        self._listed: tuple[int, list[str]] = (0, [])

    def group(self, key: str) -> list[str]:
        """The keys of the contents that belong together with that of a key, this key first if its content is cached.

        They are not checked.
        """
        names, group = self._names(), key[:GROUP]
        found = takewhile(lambda name: name.startswith(group), islice(names, bisect_left(names, group), None))
        return sorted(found, key=lambda name: (name != key, name))

    def _names(self) -> list[str]:
        """The keys of all contents in their order, listed again when the folder changed."""
        with suppress(OSError):
            changed = self.folder.stat().st_mtime_ns
            if changed != self._listed[0]:
                settled = time.time_ns() - changed > SAME_TIME
                names = sorted(found.name for found in os.scandir(self.folder) if "." not in found.name)
                self._listed = (changed if settled else 0, names)
            return self._listed[1]
        return []

    def facts(self, key: str) -> dict[str, Any] | None:
        """The facts of a content, without its arrays; None if it cannot be read or is to be computed again."""
        with suppress(StoreError):
            manifest = checksummed.read_manifest(self.folder / key, key)
            return None if self._is_too_old(manifest.written) else manifest.facts
        return None

    def read(self, key: str) -> Content | None:
        """The content of a key, if it is there and whole; no lock is needed."""
        with suppress(StoreError):
            return self._read(key)
        return None

    def get(self, key: str) -> Content | None:
        """The same, for the process that holds the lock: a damaged content is set aside with a warning."""
        try:
            return self._read(key)
        except StoreError as error:
            self._set_aside(key, error)
            return None

    def put(self, key: str, content: Content) -> None:
        """Cache a content, in the place of its checkpoint; for the process that holds the lock."""
        checkpoint = self.checkpoint(key)
        if checkpoint is None:
            return
        shutil.rmtree(self.folder / key, ignore_errors=True)  # where it is there, it is too old
        try:
            checksummed.write_checksummed(self.folder / key, key, *content)
        except OSError:
            checkpoint.remove()  # it may be what fills the disk, and is not needed any more
            try:
                checksummed.write_checksummed(self.folder / key, key, *content)
            except OSError as error:
                self._give_up(error)
        checkpoint.remove()

    @contextmanager
    def locked(self, key: str, *, wait: bool) -> Iterator[bool]:
        """Whether nobody else computes what belongs to a key; without a lock to be had, nobody can write it either."""
        lock, mine = FileLock(self.folder / f"{key[:GROUP]}{LOCK}"), True
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

    def checkpoint(self, key: str) -> checksummed.Checkpoint | None:
        """Checkpoint of the content with this key, for the process computing it; None if the store is not writable."""
        if not self._can_be_written:
            return None
        made = checksummed.Checkpoint(self.folder / f"{key}{PARTIAL}", key)
        if any(self._is_too_old(datetime.fromtimestamp(part.stat().st_mtime, UTC)) for part in made.parts()[:1]):
            made.remove()
        return made

    def _is_too_old(self, written: datetime) -> bool:
        return self._since is not None and written < self._since

    def _read(self, key: str) -> Content | None:
        if not os.path.lexists(self.folder / key):
            return None
        manifest, arrays = checksummed.read_checksummed(self.folder / key, key)
        return None if self._is_too_old(manifest.written) else (manifest.facts, arrays)

    def _give_up(self, why: Exception) -> None:
        if self._can_be_written:
            text = f"Nothing more is cached in {self.folder}, for it cannot be written ({why})."
            warnings.warn(text, StoreWarning, stacklevel=1)
        self._can_be_written = False

    def _set_aside(self, key: str, error: StoreError) -> None:
        aside = self.folder / f"{key}{DAMAGED}"
        text = f"{error} It was set aside as {aside.name} and is computed again."
        try:
            shutil.rmtree(aside, ignore_errors=True)
            (self.folder / key).rename(aside)
        except OSError as failure:
            text = f"{error} It is computed again, and could not be set aside ({failure})."
        warnings.warn(text, StoreWarning, stacklevel=1)


State = Literal["whole", "partial", "unreadable", "set aside", "left over"]
"""Complete; interrupted or under way; damaged or of another version; found damaged before; half written when killed, or
the checkpoint of a trial that is complete."""
_STATES: dict[str, State] = {PARTIAL: "partial", DAMAGED: "set aside", checksummed.BESIDE: "left over"}


@dataclass(frozen=True)
class StoredFolder:
    """One folder of a store.

    Args:
        size: Bytes of all its files.
        written: Time of the last change, in UTC.
        problem: Why it cannot be read.
    """

    key: str
    state: State
    folder: Path
    size: int
    written: datetime
    facts: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def spec(self) -> dict[str, Any]:
        """The specification of the trial; empty if it cannot be read."""
        return dict(self.facts.get("spec", {}))


def default_store() -> Path:
    """The folder of trials in the cache."""
    return files.cache_folder() / "trials"


def entries(store: Path) -> list[StoredFolder]:
    """All entries of a store, the newest first; the arrays are not read.

    Raises:
        StoreError: nobody may look into it.
    """
    try:
        folders = [path for path in store.iterdir() if path.suffix != LOCK]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        todo = "Set ICL_CLAIMS_CACHE to a folder of your own."
        raise StoreError(f"{store} cannot be read", got=error.strerror or str(error), todo=todo) from error
    found = filter(None, map(_entry, folders))
    return sorted(found, key=lambda entry: (entry.written, entry.key), reverse=True)


def damage(store: Path) -> Iterator[tuple[StoredFolder, str]]:
    """Every trial of a store, complete or under way, with the damage found in it; empty if there is none."""
    for entry in entries(store):
        if entry.state in ("whole", "partial", "unreadable"):
            yield entry, entry.problem or _first_problem(entry)


def unneeded(
    found: list[StoredFolder], code: str, *, older_than: timedelta | None = None, partials: bool = False
) -> list[tuple[StoredFolder, str]]:
    """The entries that can go, with the reason: those that no run of the code with this digest will read.

    Those above an age, and the checkpoints of interrupted trials of this code, can go too where that is asked.
    """
    now = datetime.now(UTC)

    def reason(entry: StoredFolder) -> str:
        if entry.state not in ("whole", "partial"):
            return entry.state
        if entry.spec.get("code") != code:
            return "of another version of the code"
        if older_than is not None and now - entry.written > older_than:
            return f"older than {older_than.days} days"
        return "partial" if partials and entry.state == "partial" else ""

    return [(entry, why) for entry in found if (why := reason(entry))]


def remove(store: Path, entry: StoredFolder) -> bool:
    """Remove an entry, and its lock if nothing else of the trial is left; False if a run is using it.

    Raises:
        StoreError: it cannot be removed.
    """
    lock = FileLock(store / f"{entry.key[:GROUP]}{LOCK}")
    try:
        with lock.acquire(blocking=False):
            if entry.folder.is_dir() and not entry.folder.is_symlink():
                shutil.rmtree(entry.folder)
            else:
                entry.folder.unlink()
            if not any(path.suffix != LOCK for path in store.glob(f"{entry.key[:GROUP]}*")):
                Path(lock.lock_file).unlink()
    except Timeout:
        return False
    except OSError as error:
        raise StoreError(f"{entry.folder} cannot be removed", got=error.strerror or str(error)) from error
    return True


def _entry(folder: Path) -> StoredFolder | None:
    """The entry of a folder; None if a run has just renamed it."""
    state = _STATES.get(folder.suffix, "whole")
    key = folder.name if state == "whole" else folder.stem
    if state == "partial" and folder.with_name(key).is_dir():
        state = "left over"
    try:
        written = datetime.fromtimestamp(folder.lstat().st_mtime, UTC)
        size = sum(path.lstat().st_size for path in (folder, *folder.rglob("*")) if not path.is_dir())
    except FileNotFoundError:
        return None
    if state in ("set aside", "left over"):
        return StoredFolder(key, state, folder, size, written)
    try:
        first = _named_parts(key, folder, state)[0]
        return StoredFolder(key, state, folder, size, written, checksummed.read_manifest(*first).facts)
    except StoreError as error:
        return StoredFolder(key, "unreadable", folder, size, written, problem=str(error))


def _first_problem(entry: StoredFolder) -> str:
    try:
        for part in _named_parts(entry.key, entry.folder, entry.state):
            checksummed.read_checksummed(*part)
    except StoreError as error:
        return str(error)
    return ""


def _named_parts(key: str, folder: Path, state: State) -> list[tuple[Path, str]]:
    """The checksummed folders of an entry, each with the name that its content must have."""
    if state != "partial":
        return [(folder, key)]
    found = [(part, f"{key}/{part.name}") for part in checksummed.parts_in(folder)]
    if not found:
        raise StoreError(f"{folder.name[:12]} holds no part of a trial")
    return found
