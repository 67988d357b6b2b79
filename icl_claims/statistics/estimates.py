"""A mean over replicates: its interval, its p values, and how many replicates, or how large a mean, would tell."""

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy

from icl_claims.statistics import sequential
from icl_claims.statistics.intervals import Interval

ERROR = 0.025
"""Error on each side of a usual interval, of 95 % confidence."""
POWER = 0.8
MOST_REPLICATES = 10_000
LEAST_ERROR = 1e-300


@dataclass(frozen=True)
class Estimate:
    """A mean over replicates, and how far off it may be.

    Args:
        error: its standard error, by the spread of the replicates.
        looked_at: whether one may look after every replicate and stop at will; else the number of replicates was fixed
            beforehand, and intervals are Student's.
        query_error: standard error by the spread of the queries, where all replicates ask the same; else 0.
        queries: how many these are.
        bounds: from where to where a replicate's number can lie.
    """

    value: float
    error: float
    replicates: int
    looked_at: bool = True
    query_error: float = 0.0
    queries: int = 0
    bounds: tuple[float, float] = (-math.inf, math.inf)

    @property
    def known(self) -> bool:
        """Whether it has a spread: several replicates, whose numbers are not all the same."""
        return bool(np.isfinite(self.value)) and self.replicates >= sequential.FEWEST and self.error > 0

    def half_width(self, error: float) -> float:
        """By how much the mean may be off on one side, but for this error; infinite where no data could tell.

        Source: the squares of half-widths of independent parts add up (Zou and Donner 2008; for a crossed design their
        parts are Cornfield and Tukey's 1956).
        """
        critical = sequential.critical_t if self.looked_at else student_critical
        of_queries = critical(self.queries, error) * self.query_error if self.query_error else 0.0
        return math.hypot(critical(self.replicates, error) * self.error, of_queries)

    def interval(self, below: float = ERROR, above: float = ERROR) -> Interval:
        """Its interval, with an error on each side: a confidence sequence where it is looked at."""
        if not self.known:
            return Interval(self.value, np.nan, np.nan)
        return Interval(self.value, self.value - self.half_width(below), self.value + self.half_width(above))

    def p_above(self) -> float | None:
        """The p value of a mean of 0 or less; None where nothing can be said.

        Replicates that all have the same number x > 0 have no spread. If none can be below b, a bet of all one has
        wins 1 + x / |b| each time, and loses no more than it has: 1 / (1 + x / |b|)^n is a p value at any look.

        Source: Waudby-Smith and Ramdas 2024, section 4 (betting on bounded means).
        """
        if not self.known:
            same = self.error == 0 and self.replicates >= sequential.FEWEST and self.bounds[0] < 0 < self.value
            sure = same and not self.queries and math.isfinite(self.bounds[0])
            return (1 - self.value / self.bounds[0]) ** -self.replicates if sure else None
        if self.value <= 0:
            return 1.0
        if not self.query_error:
            t = self.value / self.error
            return sequential.p_value(t, self.replicates) if self.looked_at else _p_of_student(t, self.replicates)
        if self.half_width(LEAST_ERROR) < self.value:
            return LEAST_ERROR
        lowest, highest = math.log(LEAST_ERROR), math.log(0.5)
        if self.half_width(0.5) >= self.value:
            return 1.0
        return math.exp(scipy.optimize.brentq(self._beyond, lowest, highest))

    def _beyond(self, log_error: float) -> float:
        return min(self.half_width(math.exp(log_error)), 1e12) - self.value

    def p_below(self) -> float | None:
        """The p value of a mean of 0 or more; None where it has no spread."""
        return self.turned.p_above()

    @property
    def turned(self) -> "Estimate":
        """The same with the other sign."""
        return replace(self, value=-self.value, bounds=(-self.bounds[1], -self.bounds[0]))

    def needed(self, error: float = ERROR) -> int | None:
        """About how many replicates would tell it from 0, if it is as it seems; None where no number of them would."""
        if not self.value:
            return None
        if not self.known:
            return self._needed_of_the_same(error)
        spread = self.error * math.sqrt(self.replicates)

        def told(replicates: int) -> bool:
            more = replace(self, error=spread / math.sqrt(replicates), replicates=replicates)
            return more.half_width(error) < abs(self.value)

        if not told(MOST_REPLICATES):
            return None
        low, high = sequential.FEWEST - 1, MOST_REPLICATES
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if told(middle) else (middle, high)
        return high

    def _needed_of_the_same(self, error: float) -> int | None:
        """How many replicates that all have this number it takes for the bet of `p_above` to have won enough."""
        upwards = self if self.value > 0 else self.turned
        won_by_one = upwards.p_above()
        if won_by_one is None:
            return None
        return math.ceil(upwards.replicates * math.log(error) / math.log(won_by_one))

    def detectable(self, error: float = ERROR) -> float | None:
        """The size of a difference that so many replicates would tell from 0 in four of five repetitions.

        Returns:
            None where it has no spread, or so few replicates can tell nothing.

        Source: Bloom 1995, minimum detectable effect: the critical distance, and a quantile of the estimate's own.
        """
        if not self.known or not math.isfinite(half := self.half_width(error)):
            return None
        return half + float(scipy.stats.norm.ppf(POWER)) * math.hypot(self.error, self.query_error)


def student_critical(many: int, error: float) -> float:
    """The t statistic of so many replicates that Student's t exceeds so often, for one look; infinite for one of them.

    >>> round(student_critical(16, 0.025), 2)
    2.13
    """
    return float(scipy.stats.t.isf(error, many - 1)) if many > 1 else math.inf


def _p_of_student(t: float, many: int) -> float:
    return float(scipy.stats.t.sf(t, many - 1))
