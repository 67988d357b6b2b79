"""Several models of which trials ask the same, as a reader names them: references, or a TOML file with more of each."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from icl_claims.errors import UsageError
from icl_claims.experiments.options import PYTEST, Option, options_of

_FILES = ("rates", "data")
"""Options whose value is a file or a folder, which a relative path seeks beside the list."""
_NOT_OF_A_MODEL = ("model", "models", "tasks", "studies", "seeds", "first_seed", "replicates")
"""What is the same for all models: a claim is to be asked of the same tasks and draws."""


@dataclass(frozen=True)
class NamedModel:
    """One of several models.

    Args:
        name: What reports call it; letters, digits, dots, hyphens and underscores.
        given: Options of the run that are others for it, its reference among them.
        parameters: How many it has, where its files do not tell.
    """

    name: str
    given: Mapping[str, Any] = field(default_factory=dict, hash=False)
    parameters: int | None = None


def models_of_references(references: Sequence[str]) -> tuple[NamedModel, ...]:
    """Models by their references alone, each called by the last part of its own.

    >>> [model.name for model in models_of_references(["tiny", "hub:facebook/opt-125m", "gguf:/m/a.Q4_0.gguf"])]
    ['tiny', 'opt-125m', 'a.Q4_0']

    Raises:
        UsageError: Two have one name.
    """
    return _apart(NamedModel(_name_of(one), {"model": one}) for one in references)


def read_models(path: Path) -> tuple[NamedModel, ...]:
    """Models of a TOML file: tables `[[model]]` with `reference`, and `name`, `parameters` or options of a run.

    Relative paths of `rates` and `data` are sought beside the file; `reference` is as `--claims-model` has it.

    Raises:
        UsageError: The file cannot be read, or a table makes no sense.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        wanted = "a TOML file with tables [[model]]"
        raise UsageError(f"The list of models {path} cannot be read", expected=wanted, got=str(error)) from error
    tables = found.get("model")
    if not isinstance(tables, list) or not tables or len(found) > 1:
        got = ", ".join(found) or "nothing"
        raise UsageError(f"{path} lists no models", expected="tables [[model]] and nothing else", got=got)
    return _apart(_of_table(table, path) for table in tables)


def _of_table(table: Any, path: Path) -> NamedModel:
    options = {one.name: one for one in options_of(PYTEST) if one.name not in _NOT_OF_A_MODEL}
    known = ("reference", "name", "parameters", *options)
    if not isinstance(table, dict) or not isinstance(table.get("reference"), str):
        got = ", ".join(table) if isinstance(table, dict) else repr(table)
        raise UsageError(f"A model of {path} has no reference", expected='reference = "path:DIR" or another', got=got)
    if unknown := [name for name in table if name not in known]:
        raise UsageError(f"A model of {path} says what is no option", expected=", ".join(known), got=unknown[0])
    reference, parameters = table["reference"], table.get("parameters")
    if parameters is not None and (isinstance(parameters, bool) or not isinstance(parameters, int | float)):
        raise UsageError(f"The parameters of {reference} in {path} are no number", got=repr(parameters))
    given = {name: _value(options[name], table[name], path) for name in options if name in table}
    name = table.get("name", _name_of(reference))
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        wanted = "letters, digits, dots, hyphens and underscores"
        raise UsageError(f"A name of {path} makes no sense", expected=wanted, got=repr(name))
    return NamedModel(name, {"model": reference, **given}, None if parameters is None else int(parameters))


def _value(option: Option, said: Any, path: Path) -> Any:
    wanted: type | tuple[type, ...] = int if option.type is int else (str, int, float) if option.values else str
    if isinstance(said, bool) or not isinstance(said, wanted):
        kind = "a whole number" if option.type is int else "a text"
        raise UsageError(f"{option.name} of a model in {path} makes no sense", expected=kind, got=repr(said))
    beside = option.name in _FILES and said != "hub"
    return str(path.parent / Path(str(said)).expanduser()) if beside else said


def _name_of(reference: str) -> str:
    kind, _, rest = reference.partition(":")
    last = Path(rest or kind).expanduser().resolve().name if kind in ("path", "fairseq", "gguf") else rest or kind
    last = last.rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last.removesuffix(".gguf")) or "model"


def _apart(models: Iterable[NamedModel]) -> tuple[NamedModel, ...]:
    found = tuple(models)
    names = [model.name for model in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        todo = "List them in a TOML file and give each a name: ⟨models⟩ FILE.toml."
        raise UsageError("Two of the models have one name", expected="a name for each", got=twice, todo=todo)
    return found
