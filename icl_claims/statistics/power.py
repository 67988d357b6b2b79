"""Power: the smallest difference that data could detect, and the queries or seeds that a found one would need."""

import math

import numpy as np
import scipy

from icl_claims.statistics.intervals import CONFIDENCE, Interval

POWER = 0.8


def smallest_detectable(interval: Interval, *, power: float = POWER, confidence: float = CONFIDENCE) -> float | None:
    """The difference that an interval of this width would exclude 0 for with a given probability.

    Returns:
        Its size, in the units of the difference; None if the interval is undefined.

    Source: Bloom 1995, minimum detectable effect: (z(1 - alpha / 2) + z(power)) standard errors.

    >>> round(smallest_detectable(Interval(0.1, -0.1, 0.3)), 2)
    0.29
    """
    if not np.isfinite([interval.low, interval.high]).all():
        return None
    z = scipy.stats.norm.ppf((1 + confidence) / 2)
    return float((z + scipy.stats.norm.ppf(power)) * (interval.high - interval.low) / (2 * z))


def queries_needed(interval: Interval, queries: int) -> int | None:
    """About how many queries would make the interval of a difference of this size exclude 0.

    Returns:
        That number, as an interval's width falls with the root of the number of queries; None if the difference is
        0 or undefined, so that no number would do.

    >>> queries_needed(Interval(0.1, -0.1, 0.3), queries=50)
    201
    """
    reach = _reach_towards_zero(interval)
    return None if reach is None else max(1, math.floor(queries * reach**2) + 1)


def seeds_needed(interval: Interval, seeds: int, *, confidence: float = CONFIDENCE) -> int | None:
    """About how many seeds would make the `seeds_interval` of a mean of this size exclude 0.

    Returns:
        That number, at least 2; None if the mean is 0 or undefined, so that no number would do.

    >>> seeds_needed(Interval(0.1, -0.1, 0.3), seeds=5)
    13
    """
    reach = _reach_towards_zero(interval)
    if reach is None:
        return None
    tail = (1 + confidence) / 2
    spread = float(reach * np.sqrt(seeds) / scipy.stats.t.ppf(tail, seeds - 1))  # of seeds, as a multiple of the mean
    needed = max(2, math.floor((spread * float(scipy.stats.norm.ppf(tail))) ** 2))
    while scipy.stats.t.ppf(tail, needed - 1) * spread >= np.sqrt(needed):
        needed += 1
    return needed


def _reach_towards_zero(interval: Interval) -> float | None:
    """How far the interval reaches from its estimate towards 0, as a multiple of that distance."""
    bound = interval.low if interval.estimate > 0 else interval.high
    if not np.isfinite(bound) or not interval.estimate:
        return None
    return abs((interval.estimate - bound) / interval.estimate)
