"""A store of facts and arrays by key, shared by all processes, and checkpoints from which a killed run is resumed."""

import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from icl_claims.errors import StoreError, StoreWarning
from icl_claims.storage.checksummed import MANIFEST, read_checksummed, write_checksummed

START = "start"
_NAME = re.compile(r"\d{5}-\w+")


@dataclass(frozen=True, eq=False)
class FinishedPart:
    """A finished part.

    Args:
        kind: What it holds, such as `start`, which is the first part of all.
        folder: The checksummed folder that holds it.
    """

    kind: str
    facts: dict[str, Any]
    numbers: dict[str, np.ndarray]
    folder: Path


class Checkpoint:
    """The finished parts of what is computed under a key, for the one process that computes it."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self._key = folder, key
        self._next = 0
        self._can_be_written = True

    def recall(self) -> Iterator[FinishedPart]:
        """The parts that an earlier process finished, in order; none if the first of them is lost.

        A damaged part is left out with a warning.
        """
        found = parts_in(self.folder)
        parts = (part for path in found if (part := self._read(path)) is not None)
        start = next(parts, None)
        if start is None or start.kind != START:
            self.remove()
            return
        self._next = int(found[-1].name.partition("-")[0]) + 1
        yield start
        yield from parts

    def keep(self, kind: str, facts: Mapping[str, Any], numbers: Mapping[str, np.ndarray]) -> Path | None:
        """Write a part; if that fails, a warning says so once, and the computation goes on without a checkpoint.

        Returns:
            The checksummed folder that holds it; None if it could not be written.
        """
        if not self._can_be_written:
            return None
        name = f"{self._next:05d}-{kind}"
        try:
            write_checksummed(self.folder / name, f"{self._key}/{name}", facts, numbers)
        except OSError as error:
            self._can_be_written = False
            _warn(f"There is no checkpoint, for {self.folder} cannot be written ({error}).")
            return None
        self._next += 1
        return self.folder / name

    def remove(self) -> None:
        """Delete all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._next = 0

    def _read(self, path: Path) -> FinishedPart | None:
        try:
            manifest, numbers = read_checksummed(path, f"{self._key}/{path.name}")
        except StoreError as error:
            _warn(f"{error} It is computed again.")
            return None
        return FinishedPart(path.name.partition("-")[2], manifest.facts, numbers, path)


def parts_in(folder: Path) -> list[Path]:
    """The folders of the parts in a checkpoint, in the order in which they were finished."""
    return sorted(path for path in folder.glob("[0-9]*-*") if _NAME.fullmatch(path.name))


PARTIAL, DAMAGED, LOCK = ".partial", ".damaged", ".lock"
Content = tuple[dict[str, Any], dict[str, np.ndarray]]
"""Plain data, and arrays by name."""
Compute = Callable[[], Content]


class Store:
    """Caches contents, so that none is computed twice, by any number of processes.

    Where nothing can be written, contents are computed all the same, and a warning says that they are not cached.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._can_be_written = True

    def get_or_run(self, key: str, run: Compute) -> Content:
        """The content of a key, computed now if it never was; other processes wait for it meanwhile."""
        found = self._whole(key)
        if found is not None:
            return found
        with self._locked(key, wait=True):
            return self.get(key) or self._run(key, run)

    def get_or_run_unless_busy(self, key: str, run: Compute) -> Content | None:
        """The same, but None if another process is computing it."""
        found = self._whole(key)
        if found is not None:
            return found
        with self._locked(key, wait=False) as mine:
            return (self.get(key) or self._run(key, run)) if mine else None

    def holds(self, key: str) -> bool:
        """Whether the content of a key is cached; it is not checked."""
        return (self.folder / key / MANIFEST).is_file()

    def get(self, key: str) -> Content | None:
        """The content of a key, or None; a damaged one is set aside with a warning."""
        try:
            return self._read(key)
        except StoreError as error:
            self._set_aside(key, error)
            return None

    def checkpoint(self, key: str) -> Checkpoint | None:
        """Checkpoint of the content with this key, for the process computing it; None if the store is not writable."""
        return Checkpoint(self.folder / f"{key}{PARTIAL}", key) if self._can_be_written else None

    def _whole(self, key: str) -> Content | None:
        """The content of a key, if it is there and whole; no lock is taken."""
        try:
            return self._read(key)
        except StoreError:
            return None

    def _read(self, key: str) -> Content | None:
        if not os.path.lexists(self.folder / key):
            return None
        manifest, arrays = read_checksummed(self.folder / key, key)
        return manifest.facts, arrays

    def _run(self, key: str, run: Compute) -> Content:
        content, checkpoint = run(), self.checkpoint(key)
        if checkpoint is None:
            return content
        try:
            write_checksummed(self.folder / key, key, *content)
        except OSError:
            checkpoint.remove()  # it may be what fills the disk, and is not needed any more
            try:
                write_checksummed(self.folder / key, key, *content)
            except OSError as error:
                self._give_up(error)
        checkpoint.remove()
        return content

    @contextmanager
    def _locked(self, key: str, *, wait: bool) -> Iterator[bool]:
        """Whether nobody else computes the content of a key; without a lock to be had, nobody can write it either."""
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
            _warn(f"Nothing more is cached in {self.folder}, for it cannot be written ({why}).")
        self._can_be_written = False

    def _set_aside(self, key: str, error: StoreError) -> None:
        aside = self.folder / f"{key}{DAMAGED}"
        try:
            shutil.rmtree(aside, ignore_errors=True)
            (self.folder / key).rename(aside)
        except OSError as failure:
            _warn(f"{error} It is computed again, and could not be set aside ({failure}).")
        else:
            _warn(f"{error} It was set aside as {aside.name} and is computed again.")


def _warn(text: str) -> None:
    warnings.warn(text, StoreWarning, stacklevel=2)
