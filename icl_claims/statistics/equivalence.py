"""Whether a difference is too small to matter: what "comparable" means when it is tested."""

from __future__ import annotations

from typing import Literal

from icl_claims.errors import ClaimError
from icl_claims.statistics.intervals import Interval

Equivalence = Literal["equivalent", "different", "unclear"]

CONFIDENCE_FOR_EQUIVALENCE = 0.90
"""Coverage of the interval to be given: two one-sided tests at 5 % each are one interval at 90 %."""


def equivalence(interval: Interval, margin: float) -> Equivalence:
    """The outcome of two one-sided tests, one against each end of (-margin, margin).

    Args:
        interval: interval of the difference, at `CONFIDENCE_FOR_EQUIVALENCE`.
        margin: the smallest difference that would matter, in the units of the difference; NaN if it is not known.

    Returns:
        `equivalent` if the whole interval is closer to 0 than the margin, `different` if the whole interval is
        farther away on one side, else `unclear`, also for an undefined interval.

    Raises:
        ClaimError: the margin is below 0.

    Source: Schuirmann 1987.

    >>> equivalence(Interval(0.01, -0.02, 0.04), margin=0.05)
    'equivalent'
    """
    if margin < 0:
        raise ClaimError("The margin of an equivalence is negative", expected="0 or more", got=f"{margin=}")
    if interval.excludes_below(-margin) and interval.excludes_above(margin):
        return "equivalent"
    if interval.excludes_below(margin) or interval.excludes_above(-margin):
        return "different"
    return "unclear"
