"""SHA-256 of large files, remembered by path, size and time of change, so that a model is known without reading it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from icl_claims.models.embedded import model_cache

DigestOf = Callable[[Path], str]
"""Either of the two ways to know the SHA-256 of a file."""


def file_digest(path: Path) -> str:
    """SHA-256 of a file, from all of its bytes; remembered for `remembered_digest`."""
    seen = _seen(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with suppress(OSError):  # where nothing can be remembered, the file is read again
        note = _note(path)
        note.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=note.parent, delete=False, encoding="utf-8") as beside:
            json.dump({**seen, "sha256": digest}, beside)
        Path(beside.name).replace(note)
    return digest


def remembered_digest(path: Path) -> str:
    """SHA-256 of a file as it was when it was last read, if its size and time of change are still the same."""
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        digest: str = note.pop("sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return file_digest(path)
    return digest if note == _seen(path) else file_digest(path)


def _seen(path: Path) -> dict[str, str | int]:
    stat = path.stat()
    return {"path": str(path.resolve()), "size": stat.st_size, "changed": stat.st_mtime_ns}


def _note(path: Path) -> Path:
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    return model_cache() / "digests" / f"{name}.json"
