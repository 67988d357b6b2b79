"""Score intervals of proportions whose counts are known."""

import math
from dataclasses import dataclass

import scipy

from icl_claims.statistics.intervals import Interval


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    counted: int
    of: int

    @property
    def value(self) -> float:
        """The proportion."""
        return self.counted / self.of

    def wilson(self, error: float) -> tuple[float, float]:
        """Wilson's score interval, with an error on each side.

        >>> low, high = Share(4, 4).wilson(0.025)
        >>> round(low, 2), high
        (0.51, 1.0)
        """
        found = scipy.stats.binomtest(self.counted, self.of).proportion_ci(1 - 2 * error, method="wilson")
        return float(found.low), float(found.high)


def difference(left: Share, right: Share, below: float, above: float) -> Interval:
    """Interval of left - right for proportions that are counted on different queries, or whose pairs are not known.

    Source: Newcombe 1998, hybrid score interval (method 10).

    >>> found = difference(Share(4, 4), Share(0, 3), 0.025, 0.025)
    >>> found.estimate, round(found.low, 2), found.high
    (1.0, 0.25, 1.0)
    """
    estimate = left.value - right.value
    down = math.hypot(left.value - left.wilson(below)[0], right.wilson(below)[1] - right.value)
    up = math.hypot(left.wilson(above)[1] - left.value, right.value - right.wilson(above)[0])
    return Interval(estimate, estimate - down, estimate + up)


def difference_from(share: Share, value: float, below: float, above: float) -> Interval:
    """Interval of a proportion minus a number.

    >>> round(difference_from(Share(4, 4), 0.5, 0.025, 0.025).low, 2)
    0.01
    """
    return Interval(share.value - value, share.wilson(below)[0] - value, share.wilson(above)[1] - value)
