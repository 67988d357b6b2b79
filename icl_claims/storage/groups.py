"""Groups of arrays under names of one or several parts, as one flat list of arrays with an index."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np

Groups = Mapping[str, Mapping[Any, np.ndarray]]


def flat(groups: Groups) -> tuple[list[list[Any]], dict[str, np.ndarray]]:
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
    """The groups that `flat` made into a list.

    Args:
        index: The index.
        arrays: The arrays by their names.
        names: All groups, empty ones included.
        kinds: What makes a key of the parts of a name, for groups whose names have several.

    Raises:
        KeyError: an array is missing.
    """
    groups: dict[str, dict[Hashable, np.ndarray]] = {name: {} for name in names}
    for group, name, *parts in index:
        groups[group][kinds[group](*parts) if group in kinds else parts[0]] = arrays[name]
    return groups
