"""Folders of facts and arrays that detect their own damage, and checkpoints, from which a killed run is resumed.

A folder holds safetensors beside a JSON manifest with checksums; a checkpoint is a row of such folders.
"""

import hashlib
import json
import re
import shutil
import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from icl_claims.errors import StoreError, StoreWarning
from icl_claims.storage.files import sha256_of

FORMAT = 2
"""Version of the files; raised when another version of the project would misread them."""
MANIFEST, NUMBERS = "manifest.json", "numbers.safetensors"
BESIDE = ".new"
"""Suffix of a folder that is being written."""
_HEAD = '{{\n "sha256": "{}",'


@dataclass(frozen=True)
class Manifest:
    """The description of a folder's content.

    Args:
        numbers: Names of the arrays, whose file has that size in bytes and that checksum.
        written: Time of writing, in UTC.
    """

    facts: dict[str, Any]
    numbers: tuple[str, ...]
    size: int
    sha256: str
    written: datetime


def write_checksummed(folder: Path, name: str, facts: Mapping[str, Any], numbers: Mapping[str, np.ndarray]) -> None:
    """Write a folder under another name, then rename it: it is there complete or not at all.

    It must not exist, and nobody else may write it. `name` says what its content is.

    Raises:
        OSError: the disk is full, or nothing can be written there.
    """
    beside = folder.with_name(folder.name + BESIDE)
    shutil.rmtree(beside, ignore_errors=True)
    content = save({key: np.ascontiguousarray(values) for key, values in numbers.items()})
    manifest = {
        "format": FORMAT,
        "name": name,
        "written": datetime.now(UTC).isoformat(),
        "numbers": {"names": list(numbers), "size": len(content), "sha256": hashlib.sha256(content).hexdigest()},
        "facts": dict(facts),
    }
    try:
        beside.mkdir(parents=True)
        (beside / NUMBERS).write_bytes(content)
        (beside / MANIFEST).write_bytes(_seal(manifest))
        beside.rename(folder)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def read_manifest(folder: Path, name: str | None = None) -> Manifest:
    """The manifest of a folder, checked against its own checksum; the arrays are not read.

    Its content must have this name; None if any will do.

    Raises:
        StoreError: it is damaged, holds something else, or was written in another format.
    """
    try:
        found = json.loads(_unseal((folder / MANIFEST).read_bytes()))
        if found["format"] != FORMAT:
            raise _damaged(folder, f"format {FORMAT}", f"format {found['format']}, of another version of the project")
        if name not in (None, found["name"]):
            raise _damaged(folder, str(name)[:12], f"what belongs to {str(found['name'])[:12]}")
        arrays, written = found["numbers"], datetime.fromisoformat(found["written"])
        return Manifest(found["facts"], tuple(arrays["names"]), arrays["size"], arrays["sha256"], written)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, "a whole manifest", f"{type(error).__name__}: {error}") from error


def read_checksummed(
    folder: Path, name: str | None = None, *, verified: bool = True
) -> tuple[Manifest, dict[str, np.ndarray]]:
    """The facts and the arrays of a folder, in the order in which they were written, checked against all checksums.

    The arrays need not be verified where this process wrote the folder or has read it before.

    Raises:
        StoreError: it is damaged, holds something else, or was written in another format.
    """
    manifest, path = read_manifest(folder, name), folder / NUMBERS
    try:
        if path.stat().st_size != manifest.size or (verified and sha256_of(path) != manifest.sha256):
            raise _damaged(folder, "the checksum of its manifest", "another")
        arrays = load_file(path)
        return manifest, {key: arrays[key] for key in manifest.numbers}
    except (OSError, KeyError, SafetensorError) as error:
        raise _damaged(folder, "whole arrays", f"{type(error).__name__}: {error}") from error


def _seal(manifest: dict[str, Any]) -> bytes:
    """JSON whose first entry is the checksum of the rest."""
    body = json.dumps(manifest, indent=1)[1:].encode()
    return _HEAD.format(hashlib.sha256(body).hexdigest()).encode() + body


def _unseal(content: bytes) -> bytes:
    length = len(_HEAD.format("0" * 64))
    head, body = content[:length], content[length:]
    if head != _HEAD.format(hashlib.sha256(body).hexdigest()).encode():
        raise ValueError("its checksum is not that of its content")
    return b"{" + body


def _damaged(folder: Path, expected: str, got: str) -> StoreError:
    return StoreError(f"{folder.name[:12]} in {folder.parent.name} is damaged", expected=expected, got=got)


START = "start"
_NAME = re.compile(r"\d{5}-\w+")


@dataclass(frozen=True, eq=False)
class FinishedPart:
    """A finished part in its checksummed folder; the kind says what it holds, such as `start`, the first of all."""

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
        found = self.parts()
        parts = filter(None, map(self._read, found))
        start = next(parts, None)
        if start is None or start.kind != START:
            self.remove()
            return
        self._next = int(found[-1].name.partition("-")[0]) + 1
        yield start
        yield from parts

    def keep(self, kind: str, facts: Mapping[str, Any], numbers: Mapping[str, np.ndarray]) -> Path | None:
        """Write a part, and give the checksummed folder that holds it; None if it could not be written.

        A warning says so once, and the computation goes on without a checkpoint.
        """
        if not self._can_be_written:
            return None
        name = f"{self._next:05d}-{kind}"
        try:
            write_checksummed(self.folder / name, f"{self._key}/{name}", facts, numbers)
        except OSError as error:
            self._can_be_written = False
            text = f"There is no checkpoint, for {self.folder} cannot be written ({error})."
            warnings.warn(text, StoreWarning, stacklevel=1)
            return None
        self._next += 1
        return self.folder / name

    def parts(self) -> list[Path]:
        """The folders of the parts, in the order in which they were finished."""
        return parts_in(self.folder)

    def remove(self) -> None:
        """Delete all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._next = 0

    def _read(self, path: Path) -> FinishedPart | None:
        try:
            manifest, numbers = read_checksummed(path, f"{self._key}/{path.name}")
        except StoreError as error:
            warnings.warn(f"{error} It is computed again.", StoreWarning, stacklevel=1)
            return None
        return FinishedPart(path.name.partition("-")[2], manifest.facts, numbers, path)


def parts_in(folder: Path) -> list[Path]:
    """The folders of the parts in a checkpoint, in the order in which they were finished."""
    return sorted(path for path in folder.glob("[0-9]*-*") if _NAME.fullmatch(path.name))


def flat(groups: Mapping[str, Mapping[Any, np.ndarray]]) -> tuple[list[list[Any]], dict[str, np.ndarray]]:
    """The index, [group, name, part, part, ...] of each array, and the arrays under names made of that.

    >>> index, arrays = flat({"by_layer": {("sim_aou", "finetuning"): np.zeros(3)}})
    >>> index, list(arrays)
    ([['by_layer', 'by_layer|sim_aou|finetuning', 'sim_aou', 'finetuning']], ['by_layer|sim_aou|finetuning'])
    """
    index, arrays = [], {}
    for group, held in groups.items():
        for key, values in held.items():
            parts = list(key) if isinstance(key, tuple) else [key]
            name = "|".join((group, *parts))
            index.append([group, name, *parts])
            arrays[name] = values
    return index, arrays


def grouped(
    index: Iterable[Iterable[Any]], arrays: Mapping[str, np.ndarray], names: Iterable[str], kinds: Mapping[str, Any]
) -> dict[str, dict[Hashable, np.ndarray]]:
    """The groups that `flat` made into a list: all of these names, empty ones included.

    The kind of a group makes a key of the parts of a name; where it has none, the first part is the key.

    Raises:
        KeyError: an array is missing.
    """
    groups: dict[str, dict[Hashable, np.ndarray]] = {name: {} for name in names}
    for group, name, *parts in index:
        groups[group][kinds[group](*parts) if group in kinds else parts[0]] = arrays[name]
    return groups
