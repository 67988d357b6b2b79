"""Files: the cache folder, writing whole or not at all, and SHA-256 of their bytes."""

import hashlib
import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

from icl_claims.errors import StoreError


def cache_folder() -> Path:
    """The folder that the environment variable ICL_CLAIMS_CACHE names; else one in the user's cache.

    Raises:
        StoreError: none is named, and the user has no home.
    """
    chosen = os.environ.get("ICL_CLAIMS_CACHE")
    try:
        return Path(chosen) if chosen else user_cache_path("icl_claims")
    except RuntimeError as error:  # of Path.home
        todo = "Set ICL_CLAIMS_CACHE to a folder."
        raise StoreError(
            "There is no place for a cache", expected="a home folder", got=str(error), todo=todo
        ) from error


def write_atomically(path: Path, text: str) -> None:
    """Write a file under another name beside its place, then move it there; its folder is made.

    A lone surrogate, such as the name of a file can hold, is written as an escape.

    Raises:
        OSError: it cannot be written; what stood there still does.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


Say = Callable[[str], None]
"""Told a sentence before what takes long."""
DigestOf = Callable[[Path], str]
"""Any of the ways to know the SHA-256 of a file."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, from all of its bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, from all of its bytes; noted in the cache for `remembered_digest`."""
    seen = _seen(path)
    digest = sha256_of(path)
    with suppress(OSError):  # where nothing can be noted, the file is read again the next time
        write_atomically(_note(path), json.dumps({**seen, "sha256": digest}))
    return digest


def remembered_digest(path: Path) -> str:
    """SHA-256 of a file as it was when it was last read, if the file system says that it did not change since."""
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        digest: str = note.pop("sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return file_digest(path)
    return digest if note == _seen(path) else file_digest(path)


def remembered(what: str, make: Callable[[], str]) -> str:
    """The text that `make` gives and that follows from what `what` says, made once and noted in the cache."""
    note = cache_folder() / "models" / "digests" / f"{hashlib.sha256(what.encode()).hexdigest()}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        if (found := json.loads(note.read_text(encoding="utf-8")))["what"] == what:
            return str(found["made"])
    made = make()
    with suppress(OSError):
        write_atomically(note, json.dumps({"what": what, "made": made}))
    return made


def _seen(path: Path) -> dict[str, str | int]:
    """What tells whether a file changed; unlike the time of its content, a program cannot set that of its change."""
    stat = path.stat()
    times = {"modified": stat.st_mtime_ns, "changed": stat.st_ctime_ns}
    return {"path": str(path.resolve()), "size": stat.st_size, "inode": stat.st_ino, **times}


def _note(path: Path) -> Path:
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    return cache_folder() / "models" / "digests" / f"{name}.json"
