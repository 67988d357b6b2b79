"""The entries of a store of trials: listed, checked, and removed when no run needs them any more."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from icl_claims.errors import StoreError
from icl_claims.storage.checksummed import BESIDE, read_checksummed, read_manifest
from icl_claims.storage.store import DAMAGED, LOCK, PARTIAL, parts_in

State = Literal["whole", "partial", "unreadable", "set aside", "left over"]
"""Complete; interrupted or under way; damaged or of another version; found damaged before; half written when killed."""
_STATES: dict[str, State] = {PARTIAL: "partial", DAMAGED: "set aside", BESIDE: "left over"}


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
        found: dict[str, Any] = self.facts.get("spec", {})
        return found


def entries(store: Path) -> list[StoredFolder]:
    """All entries of a store, the newest first; the arrays are not read."""
    folders = [path for path in store.iterdir() if path.suffix != LOCK] if store.is_dir() else []
    found = (entry for folder in folders if (entry := _entry(folder)) is not None)
    return sorted(found, key=lambda entry: (entry.written, entry.key), reverse=True)


def damage(store: Path) -> Iterator[tuple[StoredFolder, str]]:
    """Every trial of a store, complete or under way, with the damage found in it; empty if there is none."""
    for entry in entries(store):
        if entry.state in ("whole", "partial", "unreadable"):
            yield entry, entry.problem or _first_problem(entry)


def unneeded(
    found: list[StoredFolder], code: str, *, older_than: timedelta | None = None, partials: bool = False
) -> list[tuple[StoredFolder, str]]:
    """The entries that can go, with the reason: those that no run of this code will read, and those asked for.

    Args:
        found: Entries of a store.
        code: Digest of the code that makes the numbers.
        older_than: Age above which entries are asked for too.
        partials: Whether checkpoints of interrupted trials of this code are asked for too.
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
    lock = FileLock(store / f"{entry.key}{LOCK}")
    try:
        with lock.acquire(blocking=False):
            if entry.folder.is_dir() and not entry.folder.is_symlink():
                shutil.rmtree(entry.folder)
            else:
                entry.folder.unlink()
            if not any(path.suffix != LOCK for path in store.glob(f"{entry.key}*")):
                Path(lock.lock_file).unlink()
    except Timeout:
        return False
    except OSError as error:
        raise StoreError(f"{entry.folder} cannot be removed", got=error.strerror or str(error)) from error
    return True


def _entry(folder: Path) -> StoredFolder | None:
    """The entry of a folder; None if a run has just renamed it."""
    state = _STATES.get(folder.suffix, "whole")
    key = folder.name.removesuffix(folder.suffix) if folder.suffix in _STATES else folder.name
    try:
        written = datetime.fromtimestamp(folder.lstat().st_mtime, UTC)
        size = sum(path.lstat().st_size for path in (folder, *folder.rglob("*")) if not path.is_dir())
    except FileNotFoundError:
        return None
    if state in ("set aside", "left over"):
        return StoredFolder(key, state, folder, size, written)
    try:
        first = _parts(folder, state)[0]
        return StoredFolder(key, state, folder, size, written, read_manifest(first, _name(key, first, state)).facts)
    except StoreError as error:
        return StoredFolder(key, "unreadable", folder, size, written, problem=str(error))


def _first_problem(entry: StoredFolder) -> str:
    try:
        for part in _parts(entry.folder, entry.state):
            read_checksummed(part, _name(entry.key, part, entry.state))
    except StoreError as error:
        return str(error)
    return ""


def _parts(folder: Path, state: State) -> list[Path]:
    found = parts_in(folder) if state == "partial" else [folder]
    if not found:
        raise StoreError(f"{folder.name[:12]} holds no part of a trial")
    return found


def _name(key: str, part: Path, state: State) -> str:
    return f"{key}/{part.name}" if state == "partial" else key
