"""A trial under way: each finished part of it is a sealed folder, so that a run that is killed goes on where it was."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from icl_claims.errors import StoreError, StoreWarning
from icl_claims.storage.checksummed import read_checksummed, write_checksummed

START = "start"
_NAME = re.compile(r"\d{5}-\w+")


@dataclass(frozen=True, eq=False)
class Part:
    """A finished part of a trial.

    Args:
        kind: of what, such as `start`, which is the first of every trial.
        facts: plain data.
        numbers: arrays by name.
        folder: sealed, that holds it.
    """

    kind: str
    facts: dict[str, Any]
    numbers: dict[str, np.ndarray]
    folder: Path


class Checkpoint:
    """The finished parts of a trial, for the one process that runs it.

    Args:
        folder: where they are kept; made with the first.
        key: of the trial.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self._key = folder, key
        self._next = 0
        self._can_be_written = True

    def recall(self) -> Iterator[Part]:
        """The parts that an earlier process finished, in order; none where it is not known how it started.

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
        """Keep a part; where it cannot be written, a warning says so once, and the trial goes on without.

        Args:
            kind: of what; the first one is `start`.
            facts: plain data.
            numbers: arrays by name.

        Returns:
            The sealed folder that holds it; None where it could not be written.
        """
        if not self._can_be_written:
            return None
        name = f"{self._next:05d}-{kind}"
        try:
            write_checksummed(self.folder / name, f"{self._key}/{name}", facts, numbers)
        except OSError as error:
            self._can_be_written = False
            _warn(f"What is finished of a trial is not kept: {self.folder} cannot be written ({error}).")
            return None
        self._next += 1
        return self.folder / name

    def remove(self) -> None:
        """Forget all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._next = 0

    def _read(self, path: Path) -> Part | None:
        try:
            manifest, numbers = read_checksummed(path, f"{self._key}/{path.name}")
        except StoreError as error:
            _warn(f"{error} This part of a trial is computed again.")
            return None
        return Part(path.name.partition("-")[2], manifest.facts, numbers, path)


def parts_in(folder: Path) -> list[Path]:
    """The folders of the parts of a trial, in the order in which they were finished."""
    return sorted(path for path in folder.glob("[0-9]*-*") if _NAME.fullmatch(path.name))


def _warn(text: str) -> None:
    warnings.warn(text, StoreWarning, stacklevel=2)
