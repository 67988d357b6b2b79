"""The code of a rule: definitions of a module, and of all that they use in files beside it, without their words."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from icl_claims.storage.source_code import PACKAGE, syntax

Read = Callable[[str], str | None]
"""Gives the text of a file by its path from a root; None where there is none."""
EVERYTHING = ""
"""In the place of a name: all that a module defines."""
SAID_OF_A_CLAIM = ("where", "on", "trained", "read_off")
"""What a declaration says besides the rule."""


def code_of(names: Iterable[str], file: str, read: Read, *, declared: bool = False) -> tuple[Any, ...]:
    """The syntax of functions of a file, and of all that they use in it and in files beside it.

    Comments, docstrings and layout do not count, and of the functions themselves neither their names nor what declares
    them; with `declared` both count, without what a declaration says besides the rule. What the package or a library
    defines counts by its name.
    """
    asked = [(file, name) for name in names]
    waiting, seen = list(asked), dict[tuple[str, str], Any]()
    for place in waiting:  # which grows on the way
        if place in seen:
            continue
        where, name = place
        module = _module(read(where) or "")
        defined = [one for own, ones in module.defines.items() if name in (EVERYTHING, own) for one in ones]
        parts = [part for one in defined for part in _parts(one, whole=declared or place not in asked)]
        seen[place] = syntax(parts, SAID_OF_A_CLAIM)
        used = {node.id for part in parts for node in ast.walk(part) if isinstance(node, ast.Name)}
        for one in sorted(used | {name}):
            if one in module.defines:
                waiting.append((where, one))
            elif one in module.imports:
                waiting += _taken(module.imports[one], where, read)
    return tuple(seen.values())


class _Import(NamedTuple):
    level: int
    base: str
    name: str


class _Module(NamedTuple):
    defines: dict[str, list[ast.stmt]]
    imports: dict[str, _Import]


@cache
def _module(text: str) -> _Module:
    module = _Module({}, {})
    for statement in ast.parse(text).body:
        for name in _bound(statement):
            module.defines.setdefault(name, []).append(statement)
        for node in ast.walk(statement):
            if isinstance(node, ast.ImportFrom):
                taken = {one.asname or one.name: _Import(node.level, node.module or "", one.name) for one in node.names}
                module.imports.update(taken)
            elif isinstance(node, ast.Import):
                module.imports.update(
                    {one.asname: _Import(0, one.name, EVERYTHING) for one in node.names if one.asname}
                )
    return module


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement at the head of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    nodes = list(ast.walk(statement))
    inside = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return inside | {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _parts(statement: ast.stmt, *, whole: bool) -> list[ast.AST]:
    if whole or not isinstance(statement, ast.FunctionDef):
        return [statement]
    return [statement.args, *statement.body]


def _taken(taken: _Import, file: str, read: Read) -> Iterator[tuple[str, str]]:
    """Where an imported name is defined, if that is beside the file: a name of a module, or a whole module."""
    parents = PurePosixPath(file).parent.parts
    base = [*parents[: len(parents) - taken.level + 1] * bool(taken.level), *taken.base.split(".") * bool(taken.base)]
    if base[:1] == [PACKAGE.name]:
        return
    for wanted, name in ((base, taken.name), ([*base, taken.name], EVERYTHING)):
        for path in ("/".join(wanted) + ".py", "/".join((*wanted, "__init__.py"))):
            text = read(path)
            if text is not None and (name == EVERYTHING or name in _names(_module(text))):
                yield path, name
                return


def _names(module: _Module) -> set[str]:
    return {*module.defines, *module.imports}
