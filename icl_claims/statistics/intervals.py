"""Intervals for means over queries, and for their differences. NaN marks a query that does not count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 4000

Column = Float[np.ndarray, " _"]
"""One value a query; columns of one call need not be of one length."""


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


def is_binary(column: Column) -> bool:
    """Whether every value that counts is 0 or 1."""
    counted = column[~np.isnan(column)]
    return bool(np.isin(counted, (0.0, 1.0)).all())


def wilson(column: Column, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a proportion.

    Source: Wilson 1927, as scipy computes it.
    """
    counted = column[~np.isnan(column)]
    if not len(counted):
        return UNDEFINED
    found = stats.binomtest(int(counted.sum()), len(counted)).proportion_ci(confidence, method="wilson")
    return Interval(float(counted.mean()), float(found.low), float(found.high))


def newcombe(left: Column, right: Column, confidence: float = CONFIDENCE) -> Interval:
    """Interval of left - right for two proportions that are counted on different queries.

    Source: Newcombe 1998, hybrid score interval (method 10).
    """
    a, b = wilson(left, confidence), wilson(right, confidence)
    if np.isnan(a.estimate) or np.isnan(b.estimate):
        return UNDEFINED
    difference = a.estimate - b.estimate
    down = np.hypot(a.estimate - a.low, b.high - b.estimate)
    up = np.hypot(a.high - a.estimate, b.estimate - b.low)
    return Interval(difference, float(difference - down), float(difference + up))


def bootstrap_mean(columns: Sequence[Column], *, seed: int, confidence: float = CONFIDENCE) -> Interval:
    """Percentile bootstrap of the mean of per-seed means, resampling queries within each seed.

    Args:
        columns: one column of values a seed.
        seed: of the resampling.
        confidence: of the interval.
    """
    return bootstrap_difference(
        columns, [np.zeros_like(column) for column in columns], seed=seed, confidence=confidence
    )


def bootstrap_difference(
    left: Sequence[Column], right: Sequence[Column], *, seed: int, confidence: float = CONFIDENCE
) -> Interval:
    """Percentile bootstrap of mean(left) - mean(right) on the same queries, resampled within each seed.

    Args:
        left: one column of values a seed.
        right: the same queries' other values.
        seed: of the resampling.
        confidence: of the interval.

    Returns:
        The difference of means, averaged over seeds; undefined where a mean counts no query, or where more than a
        twentieth of the resamples do.
    """
    generator = np.random.default_rng(seed)
    per_seed = [_resampled_difference(a, b, generator) for a, b in zip(left, right, strict=True)]
    if not per_seed:
        return UNDEFINED
    estimate = float(np.mean([_mean(a) - _mean(b) for a, b in zip(left, right, strict=True)]))
    drawn = np.mean(per_seed, axis=0)
    if np.isnan(estimate) or np.isnan(drawn).mean() > 0.05:
        return UNDEFINED
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))


def _mean(column: Column) -> float:
    counted = column[~np.isnan(column)]
    return float(counted.mean()) if len(counted) else np.nan


def _resampled_difference(
    left: Float[np.ndarray, " queries"], right: Float[np.ndarray, " queries"], generator: np.random.Generator
) -> Float[np.ndarray, " resamples"]:
    queries = len(left)
    times = generator.multinomial(queries, np.full(queries, 1 / queries), size=RESAMPLES)

    def means(column: Column) -> Float[np.ndarray, " resamples"]:
        counts = ~np.isnan(column)
        weight = times @ counts.astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((times @ np.where(counts, column, 0.0)) / weight)

    return np.asarray(means(left) - means(right))
