"""What a verdict may conclude: exact tests, many questions at once, equivalence, and what the data could detect."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import scipy

from icl_claims.errors import ClaimError
from icl_claims.statistics.intervals import CONFIDENCE, Interval

POWER = 0.8
CONFIDENCE_FOR_EQUIVALENCE = 0.90
"""Coverage of the interval to be given: two one-sided tests at 5 % each are one interval at 90 %."""


def sign_test(holds: int, tasks: int) -> tuple[float, float]:
    """One-sided exact sign test that a direction holds on more than half of the tasks.

    Returns:
        The p value of `holds` of `tasks`, and the smallest p that so many tasks can give.

    >>> sign_test(5, 6)
    (0.109375, 0.015625)
    """
    if not tasks:
        return 1.0, 1.0
    return float(scipy.stats.binomtest(holds, tasks, alternative="greater").pvalue), 0.5**tasks


def sign_flip_test(differences: Sequence[float]) -> tuple[float, float]:
    """One-sided exact test that the differences of tasks are above 0, over all ways of flipping their signs.

    A task whose difference is 0 or NaN does not count.

    Returns:
        The share of flips whose sum is at least the one seen, and the smallest p that so many tasks can give.

    Source: Fisher 1935, The Design of Experiments, section 21.

    >>> sign_flip_test([0.1, 0.3, 0.2])
    (0.125, 0.125)
    """
    counted = np.array([value for value in differences if value and not np.isnan(value)], dtype=float)
    if not len(counted):
        return 1.0, 1.0
    if len(counted) == 1:
        return (0.5 if counted[0] > 0 else 1.0), 0.5
    found = scipy.stats.permutation_test(
        (counted,), np.sum, permutation_type="samples", alternative="greater", n_resamples=2 ** len(counted)
    )
    return float(found.pvalue), 0.5 ** len(counted)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p values of a family of tests: the probability that any below alpha is wrong is at most alpha.

    Returns:
        Adjusted p values, by the names of the tests in the same order: the smallest is multiplied by the number of
        tests, the next by one fewer, and none is below that of a smaller p value.

    Source: Holm 1979.

    >>> holm({"a": 0.01, "b": 0.04})
    {'a': 0.02, 'b': 0.04}
    """
    ranked = sorted(p_values, key=p_values.__getitem__)
    raised = np.array([p_values[name] for name in ranked]) * np.arange(len(ranked), 0, -1)
    adjusted = dict(zip(ranked, np.minimum(np.maximum.accumulate(raised), 1.0).tolist(), strict=True))
    return {name: adjusted[name] for name in p_values}


def equivalence(interval: Interval, margin: float) -> Literal["equivalent", "different", "unclear"]:
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
        raise ClaimError("The margin of a comparison is negative", expected="0 or more", got=f"{margin=}")
    if interval.excludes_below(-margin) and interval.excludes_above(margin):
        return "equivalent"
    if interval.excludes_below(margin) or interval.excludes_above(-margin):
        return "different"
    return "unclear"


def non_superiority(interval: Interval, margin: float) -> Literal["not above", "above", "unclear"]:
    """Whether a quantity is not higher than another, from the interval of their difference.

    At a difference of 0 or less it is `above`, and at the margin or more it is `not above`, each in no more than the
    tail of the interval, 2.5 % at 95 %. It never contradicts a question about which of the two is higher.

    Args:
        interval: interval of the difference, at `CONFIDENCE`.
        margin: the smallest difference that would matter, in the units of the difference; NaN if it is not known.

    Returns:
        `above` if the whole interval lies above 0, else `not above` if it lies below the margin, else `unclear`, also
        for an undefined interval.

    Raises:
        ClaimError: the margin is below 0.

    Source: Schuirmann 1987, one of the two tests; both bounds read from one interval: Morikawa and Yoshida 1995.

    >>> non_superiority(Interval(0.01, -0.02, 0.04), margin=0.05)
    'not above'
    """
    if margin < 0:
        raise ClaimError("The margin of a comparison is negative", expected="0 or more", got=f"{margin=}")
    if interval.excludes_below(0.0):
        return "above"
    return "not above" if interval.excludes_above(margin) else "unclear"


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
