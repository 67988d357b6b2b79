"""Resampling of queries, and the interval that is read from studentised resamples."""

from collections.abc import Sequence

import numpy as np
import scipy
from jaxtyping import Float

from icl_claims.statistics.influence import Column

RESAMPLES = 4000
DRAWN_AT_ONCE = 200_000  # indices: they and what they pick stay in the cache of a core

VANISHING_VARIANCE = 1e-10  # a smaller share of a sum of squares is a rounding error of equal numbers

Resamples = Float[np.ndarray, " resamples"]


def resampled_sums(
    columns: Float[np.ndarray, "queries columns"], resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, "resamples columns"]:
    """Sums over queries drawn with replacement, the same ones for every column.

    >>> resampled_sums(np.ones((5, 1)), 3, np.random.default_rng(0)).ravel().tolist()  # any five ones sum to 5
    [5.0, 5.0, 5.0]
    """
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

    The columns are independent, with mean 0 and without NaN; each is resampled by itself.

    >>> error, drawn = studentised_resamples([np.array([-1.0, 0.0, 1.0])], 200, np.random.default_rng(0))
    >>> round(error, 3), len(drawn)
    (0.577, 200)
    """
    variance, means, variances = 0.0, np.zeros(resamples), np.zeros(resamples)
    for column in columns:
        queries = len(column)
        sums, squares = resampled_sums(np.stack([column, column**2], axis=1), resamples, generator).T
        means += sums / queries
        spread = squares - sums**2 / queries
        variances += np.where(spread > VANISHING_VARIANCE * squares, spread, 0.0) / (queries - 1) / queries
        variance += float(column.var(ddof=1)) / queries
    return float(np.sqrt(variance)), in_standard_errors(means, np.sqrt(variances))


def in_standard_errors(deviations: Resamples, errors: Resamples) -> Resamples:
    """Deviations divided by their standard errors: 0 where both vanish, infinite where only the error does.

    >>> in_standard_errors(np.array([2.0, 0.0, 1.0]), np.array([4.0, 0.0, 0.0])).tolist()
    [0.5, 0.0, inf]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(deviations / errors, nan=0.0, posinf=np.inf, neginf=-np.inf))


def bootstrap_t(
    estimate: float, error: float, resamples: Resamples, *, freedom: int, confidence: float
) -> tuple[float, float]:
    """The bounds of the bootstrap-t interval.

    A resample's t* = (mean* - mean) / error* is distributed nearly as t = (mean - truth) / error, also for skewed
    values; so with quantiles q of t*, truth lies in [mean - q_high error, mean - q_low error]. The interval is accurate
    to second order, where percentiles and Student's t are to first. If so many resamples have no spread that a bound
    would be infinite, it is Student's interval.

    Args:
        estimate: the mean.
        error: standard error of the mean.
        resamples: deviations of resampled means, each in its own standard errors.
        freedom: degrees of freedom of `error`, for Student's interval.
        confidence: coverage of the interval, such as 0.95.

    Source: Efron and Tibshirani 1993, section 12.5; Hall 1992.

    >>> bootstrap_t(1.0, 0.5, np.array([-1.0, 0.0, 2.0]), freedom=9, confidence=0.95)
    (0.0, 1.5)
    """
    tails = np.array([1 + confidence, 1 - confidence]) / 2
    quantiles = np.quantile(resamples, tails, method="inverted_cdf")
    if not np.isfinite(quantiles).all():
        quantiles = scipy.stats.t.ppf(tails, freedom)
    low, high = estimate - quantiles * error
    return float(low), float(high)
