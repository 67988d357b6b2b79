"""A checkpoint of a computation: a checksummed folder per finished part, so that a killed run is resumed."""

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
    """A finished part.

    Args:
        kind: What it holds, such as `start`, which is the first part of all.
        facts: Plain data.
        numbers: Arrays by name.
        folder: The checksummed folder that holds it.
    """

    kind: str
    facts: dict[str, Any]
    numbers: dict[str, np.ndarray]
    folder: Path


class Checkpoint:
    """The finished parts of what is computed under a key, for the one process that computes it.

    Args:
        folder: Where parts are written; made with the first.
        key: The key.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self._key = folder, key
        self._next = 0
        self._can_be_written = True

    def recall(self) -> Iterator[Part]:
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

        Args:
            kind: What it holds; `start` is the first.
            facts: Plain data.
            numbers: Arrays by name.

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

    def _read(self, path: Path) -> Part | None:
        try:
            manifest, numbers = read_checksummed(path, f"{self._key}/{path.name}")
        except StoreError as error:
            _warn(f"{error} It is computed again.")
            return None
        return Part(path.name.partition("-")[2], manifest.facts, numbers, path)


def parts_in(folder: Path) -> list[Path]:
    """The folders of the parts in a checkpoint, in the order in which they were finished."""
    return sorted(path for path in folder.glob("[0-9]*-*") if _NAME.fullmatch(path.name))


def _warn(text: str) -> None:
    warnings.warn(text, StoreWarning, stacklevel=2)
