"""Methods and metrics as plain data: their parameters and, of the reader's own, the source that they rest on."""

import inspect
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import ModuleType
from typing import Any

from icl_claims import errors
from icl_claims.metrics import LayerMetric
from icl_claims.storage.source_code import own_source

_WORDS_OF_METRICS = {"title", "definition", "formula", "source", "unit", "percent", "drawn_by_layer"}


def described_metric(metric: LayerMetric) -> dict[str, Any]:
    """What the numbers of a metric follow from."""
    return {
        "kind": type(metric).__name__,
        **{name: as_plain(value) for name, value in vars(metric).items() if name not in _WORDS_OF_METRICS},
        **_source(type(metric)),
    }


def as_plain(value: Any) -> Any:
    """A parameter as plain data; a method or function with its own parameters, and the source if it is the reader's.

    Raises:
        UsageError: it is of a kind that nobody could tell from another one tomorrow.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): as_plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        held = [as_plain(inner) for inner in value]
        return sorted(held, key=repr) if isinstance(value, set | frozenset) else held
    if is_dataclass(value) and not isinstance(value, type):
        parameters = {one.name: as_plain(getattr(value, one.name)) for one in fields(value)}
        named = {"kind": type(value).__name__, "name": getattr(value, "name", "")}
        return {**named, **parameters, **_source(type(value))}
    if isinstance(value, partial):
        return {"of": as_plain(value.func), "given": as_plain(value.args), "options": as_plain(value.keywords)}
    if callable(value):
        source = _source(value)
        return {"function": getattr(value, "__qualname__", ""), "with": as_plain(_within(value, source)), **source}
    if isinstance(value, ModuleType):
        return {"module": value.__name__, "source": own_source((value.__name__,))}
    if hasattr(value, "tolist"):
        return value.tolist()
    problem = "A parameter of a method or metric of your own cannot be told from another one"
    raise errors.UsageError(
        problem, expected="numbers, texts, tuples, functions or frozen dataclasses", got=repr(value)
    )


def _within(function: Any, source: Mapping[str, str]) -> dict[str, Any]:
    """What a function that is not ours takes from around it, or an object that can be called holds."""
    if inspect.ismethod(function):
        return {"self": function.__self__}
    if inspect.isfunction(function):
        around = inspect.getclosurevars(function).nonlocals if source else {}
        return {name: value for name, value in around.items() if value is not function}
    return {} if inspect.isbuiltin(function) or isinstance(function, type) else dict(getattr(function, "__dict__", {}))


def _source(thing: Any) -> dict[str, str]:
    """Digest of the reader's own code that a class or function rests on; nothing where all of it is ours.

    Raises:
        UsageError: it is in no file, so that nobody could tell it from what it will be tomorrow.
    """
    module = getattr(thing, "__module__", None) or type(thing).__module__
    if module.partition(".")[0] == __package__.partition(".")[0]:
        return {}
    if module not in sys.builtin_module_names and not getattr(sys.modules.get(module), "__file__", None):
        todo = "Write it into a file and import it from there."
        raise errors.UsageError("The source of a method or metric of your own is not found", got=repr(thing), todo=todo)
    source = own_source((module,))
    return {"source": source} if source else {}
