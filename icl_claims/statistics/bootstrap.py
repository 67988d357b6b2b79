"""Resampling of queries, and the interval that is read from studentised resamples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from jaxtyping import Float

from icl_claims.statistics.influence import Column

RESAMPLES = 4000
DRAWN_AT_ONCE = 200_000  # indices: they and what they pick stay in the cache of a core

ROUNDING = 1e-10  # a smaller share of a sum of squares is what is left of equal numbers

Resamples = Float[np.ndarray, " resamples"]


def resampled_sums(
    columns: Float[np.ndarray, "queries columns"], resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, "resamples columns"]:
    """Sums over queries that are drawn with replacement, the same ones for every column."""
    queries = len(columns)
    chunk = max(1, DRAWN_AT_ONCE // max(queries, 1))
    sums = np.empty((resamples, columns.shape[1]))
    for start in range(0, resamples, chunk):
        drawn = generator.integers(0, queries, (min(chunk, resamples - start), queries))
        for number, column in enumerate(columns.T):
            sums[start : start + chunk, number] = np.take(column, drawn).sum(axis=1)
    return sums


def studentised_resamples(
    columns: Sequence[Column], resamples: int, generator: np.random.Generator
) -> tuple[float, Resamples]:
    """The standard error of a sum of means, and resamples of the mean in units of their own standard errors.

    Args:
        columns: independent columns with mean 0, without NaN; each is resampled by itself.
        resamples: how many.
        generator: of the draws.
    """
    variance, means, variances = 0.0, np.zeros(resamples), np.zeros(resamples)
    for column in columns:
        queries = len(column)
        sums, squares = resampled_sums(np.stack([column, column**2], axis=1), resamples, generator).T
        means += sums / queries
        spread = squares - sums**2 / queries
        variances += np.where(spread > ROUNDING * squares, spread, 0.0) / (queries - 1) / queries
        variance += float(column.var(ddof=1)) / queries
    return float(np.sqrt(variance)), in_standard_errors(means, np.sqrt(variances))


def in_standard_errors(deviations: Resamples, errors: Resamples) -> Resamples:
    """Deviations divided by their standard errors: 0 where both vanish, infinite where only the error does."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(deviations / errors, nan=0.0, posinf=np.inf, neginf=-np.inf))


def bootstrap_t(
    estimate: float, error: float, resamples: Resamples, *, freedom: int, confidence: float
) -> tuple[float, float]:
    """The bounds of the bootstrap-t interval.

    It is as good as exact to second order, so it holds for skewed values where percentiles and Student's t do not.
    Where so many resamples have no spread at all that a bound would be infinite, it is Student's interval.

    Args:
        estimate: the mean.
        error: its standard error.
        resamples: in standard errors, each of its own.
        freedom: degrees of freedom of `error`, for Student's interval.
        confidence: of the interval.

    Source: Efron and Tibshirani 1993, section 12.5; Hall 1992.
    """
    tails = np.array([1 + confidence, 1 - confidence]) / 2
    quantiles = np.quantile(resamples, tails, method="inverted_cdf")
    if not np.isfinite(quantiles).all():
        quantiles = scipy.stats.t.ppf(tails, freedom)
    low, high = estimate - quantiles * error
    return float(low), float(high)
