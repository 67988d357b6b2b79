"""Intervals for means over queries, and for their differences. NaN marks a value that does not count.

Everywhere on this floor there is one column of values per seed (of demonstrations), left and right columns are about
the same queries, `confidence` is the coverage of the interval, and `seed` is that of the resampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy

from icl_claims.errors import ClaimError
from icl_claims.statistics.bootstrap import RESAMPLES, bootstrap_t, studentised_resamples
from icl_claims.statistics.influence import Column, influence, over_seeds

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with the interval around it; bounds are NaN where the data cannot give them."""

    estimate: float
    low: float
    high: float

    def excludes_below(self, value: float) -> bool:
        """Whether the whole interval lies above a value."""
        return bool(self.low > value)

    def excludes_above(self, value: float) -> bool:
        """Whether the whole interval lies below a value."""
        return bool(self.high < value)


UNDEFINED = Interval(np.nan, np.nan, np.nan)


def bootstrap_mean(
    columns: Sequence[Column], *, seed: int, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> Interval:
    """Bootstrap interval of the mean of per-seed means; see `bootstrap_difference`.

    >>> round(bootstrap_mean([np.arange(8.0)], seed=0).low, 1)
    1.3
    """
    nothing = [np.zeros_like(column) for column in columns]
    return bootstrap_difference(columns, nothing, seed=seed, confidence=confidence, resamples=resamples)


def bootstrap_difference(
    left: Sequence[Column],
    right: Sequence[Column],
    *,
    seed: int,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Bootstrap-t interval of mean(left) - mean(right) on the same queries, averaged over seeds.

    Queries are resampled. Seeds whose columns are of one length ask the same queries, which are resampled together.

    Returns:
        The mean over seeds of the difference of means; undefined if a column counts fewer than two queries.

    Source: Efron and Tibshirani 1993, section 12.5.

    >>> interval = bootstrap_difference([np.arange(8.0)], [np.zeros(8)], seed=0)
    >>> interval.estimate, interval.excludes_below(0.0)
    (3.5, True)
    """
    influences = [influence(a, b) for a, b in zip(left, right, strict=True)]
    counted = min((one.counted for one in influences), default=0)
    if counted < 2:
        return UNDEFINED
    estimate = float(np.mean([one.difference for one in influences]))
    error, drawn = studentised_resamples(over_seeds(influences), resamples, np.random.default_rng(seed))
    return Interval(estimate, *bootstrap_t(estimate, error, drawn, freedom=counted - 1, confidence=confidence))


def seeds_interval(differences: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Student's t interval of a mean over runs, or over tasks, one number each.

    Returns:
        The mean; its bounds are NaN if there is only one run.

    >>> interval = seeds_interval([1.0, 2.0, 3.0])
    >>> interval.estimate, round(interval.low, 2), round(interval.high, 2)
    (2.0, -0.48, 4.48)
    """
    runs = len(differences)
    if not runs:
        return UNDEFINED
    estimate = float(np.mean(differences))
    if runs == 1:
        return Interval(estimate, np.nan, np.nan)
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, runs - 1) * np.std(differences, ddof=1) / np.sqrt(runs))
    return Interval(estimate, estimate - half, estimate + half)


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
