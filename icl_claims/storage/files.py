"""Files: the cache folder, writing whole or not at all, and SHA-256 of bytes and of code without its words."""

import ast
import hashlib
import json
import os
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

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
    """SHA-256 of a file as it was when it was last read, if its size and time of change are still the same."""
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        digest: str = note.pop("sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return file_digest(path)
    return digest if note == _seen(path) else file_digest(path)


def source_digest(paths: Iterable[Path], root: Path, *, words: Collection[str] = ()) -> str:
    """SHA-256 of source files, which stays the same when only comments, docstrings or the layout change.

    A Python file counts by its syntax tree without bare strings, every other file by its bytes.

    Args:
        paths: The files; their order makes no difference.
        root: A folder above them. Each file's name within it counts too.
        words: Names of arguments, fields and functions that do not count either, for they only hold words for readers.

    Raises:
        SyntaxError: a Python file cannot be parsed.
    """
    digest = hashlib.sha256()
    for path in sorted(paths):
        is_python = path.suffix == ".py"
        content = repr(_syntax(ast.parse(path.read_bytes()), words)).encode() if is_python else path.read_bytes()
        digest.update(json.dumps([path.relative_to(root).as_posix(), len(content)]).encode() + content)
    return digest.hexdigest()


def _syntax(node: Any, words: Collection[str]) -> Any:
    """A syntax tree as nested tuples; fields that are empty are left out, as another version of Python may add some."""
    if isinstance(node, list):
        return tuple(_syntax(item, words) for item in node if not _is_words(item, words))
    if not isinstance(node, ast.AST):
        return node
    fields = ((name, getattr(node, name, None)) for name in node._fields)
    return type(node).__name__, *((name, _syntax(value, words)) for name, value in fields if value not in (None, []))


def _is_words(node: Any, words: Collection[str]) -> bool:
    """Whether a part of a tree decides nothing: a bare string, such as a docstring, or a value under such a name."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.keyword(arg=name) | ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return name in words
    return False


def _seen(path: Path) -> dict[str, str | int]:
    stat = path.stat()
    return {"path": str(path.resolve()), "size": stat.st_size, "changed": stat.st_mtime_ns}


def _note(path: Path) -> Path:
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    return cache_folder() / "models" / "digests" / f"{name}.json"
