"""Source code as something that numbers follow from: its digest without its words, and whatever is the reader's own."""

import ast
import hashlib
import json
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any, NamedTuple

from icl_claims.storage.files import remembered_of_files

PACKAGE = Path(__file__).parents[1]


def source_digest(paths: Iterable[Path], root: Path, *, words: Collection[str] = ()) -> str:
    """SHA-256 of source files, which stays the same when only comments, docstrings or the layout change.

    A Python file counts by its syntax tree without bare strings, every other file by its bytes. What was found is
    noted in the cache, for as long as no file changes.

    Args:
        paths: The files; their order makes no difference.
        root: A folder above them. Each file's name within it counts too.
        words: Names of arguments, fields and functions that do not count either, for they only hold words for readers.

    Raises:
        SyntaxError: a Python file cannot be parsed.
    """
    files = sorted(paths)
    what = json.dumps(["source", sys.version, str(root.resolve()), sorted(words)])
    return remembered_of_files([*files, Path(__file__)], what, lambda: _digest(files, root, words))


def _digest(files: Iterable[Path], root: Path, words: Collection[str]) -> str:
    digest = hashlib.sha256()
    for path in files:
        is_python = path.suffix == ".py"
        content = repr(syntax(ast.parse(path.read_bytes()), words)).encode() if is_python else path.read_bytes()
        digest.update(json.dumps([path.relative_to(root).as_posix(), len(content)]).encode() + content)
    return digest.hexdigest()


def syntax(node: Any, words: Collection[str] = ()) -> Any:
    """A syntax tree, or a list of such, as nested tuples without bare strings and without `words`.

    Fields that are empty are left out, as another version of Python may add some.
    """
    if isinstance(node, list):
        return tuple(syntax(item, words) for item in node if not _is_words(item, words))
    if not isinstance(node, ast.AST):
        return node
    fields = ((name, getattr(node, name, None)) for name in node._fields)
    return type(node).__name__, *((name, syntax(value, words)) for name, value in fields if value not in (None, []))


def _is_words(node: Any, words: Collection[str]) -> bool:
    """Whether a part of a tree decides nothing: a bare string, such as a docstring, or a value under such a name."""
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case ast.keyword(arg=name) | ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return name in words
    return False


def own_source(modules: Iterable[str]) -> str:
    """SHA-256 of the reader's own code in modules of these names and in all that they import; empty if there is none.

    The reader's own is what belongs neither to this package nor to Python, nor to a library that was installed from an
    index, wherever it lies: beside the claims, in a folder below, or in a package that was installed from a folder.
    It counts as `source_digest` has it. Of the libraries that it imports, the versions count. Files of data that it
    reads, and modules whose names it makes up while it runs, are not seen.

    Raises:
        SyntaxError: a file of the reader's own cannot be parsed.
    """
    waiting = [found for name in modules if (found := _find(name)) is not None]
    seen, libraries = set[Path](), set[str]()
    while waiting:
        module = waiting.pop()
        if module.file in seen or _is_ours_or_pythons(module.file):
            continue
        if library := _library(module):
            libraries.add(library)
            continue
        seen.add(module.file)
        waiting += _imported_by(module)
    if not seen:
        return ""
    files = sorted(_read(file, file.stat().st_mtime_ns).digest for file in seen)
    return hashlib.sha256(json.dumps([files, sorted(libraries)]).encode()).hexdigest()


class _Module(NamedTuple):
    name: str
    package: str
    file: Path


def _find(name: str) -> _Module | None:
    """The module of a name, imported by now or not; None where there is none, or it stands in no file."""
    file: str | None = None
    package = name.rpartition(".")[0]
    if (module := sys.modules.get(name)) is not None:
        file, package = getattr(module, "__file__", None), module.__package__ or package
    else:
        with suppress(ImportError, ValueError, AttributeError):  # as find_spec has it for what is no module
            if spec := util.find_spec(name):
                file, package = spec.origin, spec.parent or ""
    return _Module(name, package, Path(file).resolve()) if file and Path(file).is_file() else None


def _imported_by(module: _Module) -> Iterator[_Module]:
    """What a module of the reader's own imports, at its head or later, and the packages around that."""
    for base, names in _read(module.file, module.file.stat().st_mtime_ns).imported:
        try:
            wanted = util.resolve_name(base, module.package)
        except ImportError:  # a relative import of a module outside any package
            continue
        around = (wanted.rsplit(".", cut)[0] for cut in range(wanted.count(".") + 1))
        found = [one for name in dict.fromkeys(around) if (one := _find(name)) is not None]
        yield from found
        if not any(_is_ours_or_pythons(one.file) or _library(one) for one in found):
            yield from (one for name in names if (one := _find(f"{wanted}.{name}")) is not None)


class _Read(NamedTuple):
    digest: str
    imported: tuple[tuple[str, tuple[str, ...]], ...]
    """Modules as they are written, with leading dots, and the names that are taken from each."""


@cache
def _read(file: Path, changed: int) -> _Read:
    """A file as it was at the time of a change, in nanoseconds."""
    digest, imported = source_digest([file], file.parent), list[tuple[str, tuple[str, ...]]]()
    for node in ast.walk(ast.parse(file.read_bytes())) if file.suffix == ".py" else ():
        match node:
            case ast.Import(names=names):
                imported += [(alias.name, ()) for alias in names]
            case ast.ImportFrom(module=of, names=names, level=level):
                imported.append(("." * level + (of or ""), tuple(alias.name for alias in names)))
    return _Read(digest, tuple(dict.fromkeys(imported)))


@cache
def _is_ours_or_pythons(file: Path) -> bool:
    standard = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}
    in_library = any(file.is_relative_to(folder) for folder in standard) and "site-packages" not in file.parts
    return in_library or file.is_relative_to(PACKAGE.resolve())


def _library(module: _Module) -> str:
    """The installed library that a module is of, with its version; empty where it is the reader's own."""
    top, inside = module.name.partition(".")[0], module.name.count(".") + (module.file.stem == "__init__")
    return _library_in(module.file.parents[min(inside, len(module.file.parents) - 1)], top)


@cache
def _library_in(root: Path, top: str) -> str:
    named = [info for info in root.glob("*-info") if info.name.lower().startswith(f"{top.lower()}-")]
    for info in dict.fromkeys((*named, *sorted(root.glob("*-info")))):
        told = [info / name for name in ("direct_url.json", "top_level.txt", "RECORD")]
        url, tops, record = (path.read_text("utf-8") if path.is_file() else "" for path in told)
        if top in tops.split() or any(f"\n{top}{end}" in f"\n{record}" for end in ("/", ".")):
            return "" if "dir_info" in url else f"{info.name} {url}"
    return ""
