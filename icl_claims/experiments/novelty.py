"""Why a trial is new: where its specification differs from the nearest one that was run before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
"""A specification as plain data."""


@dataclass(frozen=True)
class Change:
    """A part of a specification that two trials do not share.

    Args:
        where: its place, such as `k` or `methods/finetuning/learning_rate`.
        before: its value in one; None where it is not there.
        after: its value in the other; None where it is not there.
    """

    where: str
    before: Any
    after: Any


def changes(before: Record, after: Record) -> tuple[Change, ...]:
    """What is different in a specification, in the order of its fields; methods are told by their names."""
    old, new = _parts(before), _parts(after)
    return tuple(
        Change(where, old.get(where), new.get(where))
        for where in dict.fromkeys((*new, *old))
        if old.get(where) != new.get(where)
    )


def nearest(wanted: Record, others: Iterable[Record]) -> tuple[Record, tuple[Change, ...]] | None:
    """The specification that shares most with a wanted one, and what it does not share; None where there is none.

    Of two that share as much, the first is taken. A field counts once, however much of it is different.
    """

    def distance(found: tuple[Record, tuple[Change, ...]]) -> tuple[int, int]:
        return len({change.where.partition("/")[0] for change in found[1]}), len(found[1])

    return min(((other, changes(other, wanted)) for other in others), key=distance, default=None)


def _parts(record: Record) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for name, value in record.items():
        if name == "methods":
            for method in value:
                parts |= {f"methods/{method['name']}/{inner}": of_it for inner, of_it in method.items()}
        else:
            parts[name] = value
    return parts
