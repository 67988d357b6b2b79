"""The order in which the claims of a run are decided: what takes no time first, mathematics, trials, and training."""

from typing import Any

import pytest

from icl_claims.pytest_plugin.columns import columns_of
from icl_claims.pytest_plugin.records import mark_of, source_of

_AT_ONCE = "printed numbers and authors' runs"
_STAGES = {"printed": _AT_ONCE, "author_runs": _AT_ONCE, "exact": "mathematics", "trials": "trials"}
_TRAINING = "training"
"""What trains something on the way takes minutes, and comes after the trials, whose time is counted from the start."""


def put_in_order(items: list[pytest.Item]) -> None:
    """Sort the tests of claims, on the places that they have among others, by the stage of the run they belong to."""
    places = [place for place, item in enumerate(items) if mark_of(item)]
    ordered = sorted((items[place] for place in places), key=_place)
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def stage_of(source: str, profile: str = "", *, trained: bool = False) -> str:
    """The stage in which a source of evidence is asked, for trials with their column.

    >>> stage_of("author_runs"), stage_of("trials", "tiny"), stage_of("exact", trained=True)
    ("printed numbers and authors' runs", 'trials of tiny', 'training')
    """
    stage = _TRAINING if trained and source == "exact" else _STAGES.get(source, _STAGES["exact"])
    return f"{stage} of {profile}" if profile else stage


def _place(item: Any) -> tuple[int, int]:
    source, key = source_of(item)
    stages = [*dict.fromkeys(_STAGES.values()), _TRAINING]
    keys = [column.key for column in columns_of(item.config)]
    trained = item.get_closest_marker("trained") is not None
    return stages.index(stage_of(source, trained=trained)), keys.index(key) if key in keys else 0
