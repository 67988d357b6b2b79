"""Files: the cache folder, writing whole or not at all, and SHA-256 of their bytes."""

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
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


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file under another name beside its place, then move it there; its folder is made.

    A lone surrogate, such as the name of a file can hold, is written as an escape.

    Raises:
        OSError: it cannot be written; what stood there still does.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content if isinstance(content, bytes) else content.encode(errors="backslashreplace"))
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


Say = Callable[[str], None]
"""Told a sentence before what takes long."""
DigestOf = Callable[[Path], str]
"""Any of the ways to know the SHA-256 of a file."""
SETTLED = 2 * 10**9  # nanoseconds after which the next change of a file has another time, whatever the file system


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, from all of its bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, from all of its bytes; noted in the cache for `remembered_digest`."""
    seen = _seen(path)
    digest = sha256_of(path)
    with suppress(OSError):  # where nothing can be noted, the file is read again the next time
        write_atomically(_note(str(path.resolve())), json.dumps({**seen, "sha256": digest}))
    return digest


def remembered_digest(path: Path) -> str:
    """SHA-256 of a file as it was when it was last read, if the file system says that it did not change since."""
    try:
        note = json.loads(_note(str(path.resolve())).read_text(encoding="utf-8"))
        digest: str = note.pop("sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return file_digest(path)
    return digest if note == _seen(path) else file_digest(path)


def remembered(what: str, make: Callable[[], str], *, of: str | None = None) -> str:
    """The text that `make` gives and that follows from what `what` says, made once and noted in the cache.

    The latest text of one thing, `of`, takes the place of those before; by default each text is of its own.
    """
    with suppress(OSError, StoreError, ValueError, TypeError, KeyError):
        if (found := json.loads(_note(of or what).read_text(encoding="utf-8")))["what"] == what:
            return str(found["made"])
    made = make()
    with suppress(OSError, StoreError):
        write_atomically(_note(of or what), json.dumps({"what": what, "made": made}))
    return made


def remembered_of_files(paths: Sequence[Path], what: str, make: Callable[[], str]) -> str:
    """The text that `make` gives and that follows from some files and from what `what` says, as long as none changes.

    Nothing is noted while a file is new: the clock of the file system may not tell the next change from the last one.
    """
    seen = [_seen(path) for path in paths]
    times = (stamp for one in seen for stamp in (one["modified"], one["changed"]))
    if max(map(int, times), default=0) > time.time_ns() - SETTLED:
        return make()
    of = json.dumps([what, [one["path"] for one in seen]])
    return remembered(json.dumps([what, seen]), make, of=of)


def _seen(path: Path) -> dict[str, str | int]:
    """What tells whether a file changed; unlike the time of its content, a program cannot set that of its change."""
    stat = path.stat()
    times = {"modified": stat.st_mtime_ns, "changed": stat.st_ctime_ns}
    return {"path": str(path.resolve()), "size": stat.st_size, "inode": stat.st_ino, **times}


def _note(of: str) -> Path:
    name = hashlib.sha256(of.encode(errors="surrogateescape")).hexdigest()
    return cache_folder() / "models" / "digests" / f"{name}.json"
