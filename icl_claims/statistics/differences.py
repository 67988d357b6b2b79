"""The interval of a difference of means, chosen by what its columns hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from icl_claims.statistics.bootstrap import RESAMPLES
from icl_claims.statistics.influence import Column
from icl_claims.statistics.intervals import CONFIDENCE, Interval, bootstrap_difference, bootstrap_mean
from icl_claims.statistics.proportions import is_binary, newcombe, tango, wilson


def difference_interval(
    left: Sequence[Column],
    right: Sequence[Column] | float,
    *,
    seed: int,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """The interval of mean(left) - mean(right), or of mean(left) - a number.

    Proportions get a score interval, which also holds for a handful of queries: Wilson's against a number, Tango's
    on the same queries, Newcombe's on different ones. Other means get the bootstrap's.

    Args:
        left: one column of values per seed.
        right: other values of the same queries, or the number that the mean is compared with.
        seed: seed of the resampling.
        confidence: coverage of the interval, such as 0.95.
        resamples: number of resamples.

    >>> interval = difference_interval([np.array([1.0, 1.0, 0.0, 1.0])], 0.5, seed=0)
    >>> interval.estimate, round(interval.low, 2), round(interval.high, 2)
    (0.25, -0.2, 0.45)
    """
    if isinstance(right, Sequence):
        if not (is_binary(left) and is_binary(right)):
            return bootstrap_difference(left, right, seed=seed, confidence=confidence, resamples=resamples)
        same = all(np.array_equal(np.isnan(a), np.isnan(b)) for a, b in zip(left, right, strict=True))
        return (tango if same else newcombe)(left, right, confidence)
    if is_binary(left):
        level = wilson(left, confidence)
    else:
        level = bootstrap_mean(left, seed=seed, confidence=confidence, resamples=resamples)
    return Interval(level.estimate - right, level.low - right, level.high - right)
