"""The numbers of trials, query by query, each worked out once."""

from collections.abc import Mapping, Sequence
from weakref import WeakKeyDictionary

from icl_claims.experiments.result import TrialResult
from icl_claims.questions import Quantity
from icl_claims.statistics.replicates import Column

Results = Mapping[str, Sequence[TrialResult]]
"""Trials by task, one for each draw of demonstrations."""
_COLUMNS = WeakKeyDictionary[TrialResult, dict[Quantity, Column | None]]()


def column_of(result: TrialResult, quantity: Quantity) -> Column | None:
    """One value per query of a quantity, worked out once: claims ask for the same ones over and over."""
    known = _COLUMNS.setdefault(result, {})
    if quantity not in known:
        known[quantity] = result.column(quantity)
    return known[quantity]


def known_column(result: TrialResult, quantity: Quantity) -> Column:
    """The same of a quantity that the trial holds."""
    column = column_of(result, quantity)
    assert column is not None
    return column
