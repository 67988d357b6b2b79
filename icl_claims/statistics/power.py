"""What the data could have found: beside every difference that was not."""

from __future__ import annotations

import math

import numpy as np
import scipy

from icl_claims.statistics.intervals import CONFIDENCE, Interval

POWER = 0.8


def smallest_detectable(interval: Interval, *, power: float = POWER, confidence: float = CONFIDENCE) -> float | None:
    """The difference that an interval of this width would exclude 0 for with a given probability.

    Args:
        interval: of a difference; what counts is its width.
        power: the probability.
        confidence: of the interval.

    Returns:
        Its size, in the units of the difference; None where the interval is undefined.

    Source: Bloom 1995, minimum detectable effect: (z(1 - alpha / 2) + z(power)) standard errors.
    """
    if not np.isfinite([interval.low, interval.high]).all():
        return None
    z = scipy.stats.norm.ppf((1 + confidence) / 2)
    return float((z + scipy.stats.norm.ppf(power)) * (interval.high - interval.low) / (2 * z))


def queries_needed(interval: Interval, queries: int) -> int | None:
    """How many queries, about, would make the interval of a difference as large as this one exclude 0.

    Args:
        interval: of the difference.
        queries: on which it rests.

    Returns:
        That number, as an interval's width falls with the root of the number of queries; None where the difference is
        0 or undefined, so that no number would do.
    """
    reach = _reach_towards_zero(interval)
    return None if reach is None else max(1, math.floor(queries * reach**2) + 1)


def seeds_needed(interval: Interval, seeds: int, *, confidence: float = CONFIDENCE) -> int | None:
    """How many seeds, about, would make a `seeds_interval` of a mean as large as this one exclude 0.

    Args:
        interval: of the mean over seeds.
        seeds: on which it rests.
        confidence: of the interval.

    Returns:
        That number, at least 2; None where the mean is 0 or undefined, so that no number would do.
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
