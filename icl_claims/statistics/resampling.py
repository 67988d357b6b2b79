"""What each query contributes to a difference of means, resamples of it, and the interval that they give."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Bool, Float

Column = Float[np.ndarray, "_ ..."]
"""One value per query, or [queries, values] several; NaN marks a value that does not count.

Queries are the unit of drawing: several values of one are never independent evidence. Columns of one call may differ
in length.
"""
OfQueries = Float[np.ndarray, " _"]
Resamples = Float[np.ndarray, " resamples"]

RESAMPLES = 4000
DRAWN_AT_ONCE = 200_000  # indices: they and what they pick stay in the cache of a core
VANISHING_VARIANCE = 1e-10  # a smaller share of a sum of squares is a rounding error of equal numbers


def by_query(column: Column) -> Float[np.ndarray, "_ _"]:
    """The column as [queries, values], also where each query has a single value.

    >>> by_query(np.array([1.0, 2.0])).tolist()
    [[1.0], [2.0]]
    """
    return column.reshape(len(column), math.prod(column.shape[1:]))


def queries_that_count(column: Column) -> Bool[np.ndarray, " _"]:
    """Which queries have a value that counts.

    >>> queries_that_count(np.array([1.0, np.nan])).tolist()
    [True, False]
    """
    return np.asarray((~np.isnan(by_query(column))).any(axis=1))


@dataclass(frozen=True, eq=False)
class Influence:
    """A difference of two means, and what each query contributes to it.

    With S_q the sum and N_q the number of the values that count in query q, a mean is R = sum_q S_q / sum_q N_q.
    To first order in the queries drawn it varies as the mean of n (S_q - R N_q) / N over the n queries, N = sum_q N_q:
    the influence values. Those of left minus those of right are the difference's, query by query.

    Args:
        difference: mean(left) - mean(right), each over the values that count; NaN where one counts none.
        of_queries: influence value of each query: centred, and scaled so that the standard error of their mean is that
            of the difference.
        counted: number of queries that count, on the side that counts fewer.
    """

    difference: float
    of_queries: OfQueries
    counted: int


def influence(left: Column, right: Column) -> Influence:
    """The influence of each query on mean(left) - mean(right), for columns about the same queries.

    Source: the linearisation of a ratio (Cochran 1977, section 6.3), here of sums over the values that count.

    >>> found = influence(np.array([3.0, 1.0]), np.array([0.0, 0.0]))
    >>> found.difference, found.of_queries.tolist(), found.counted
    (2.0, [1.0, -1.0], 2)
    """
    (a, of_a, counted_a), (b, of_b, counted_b) = (_centred(column) for column in (left, right))
    return Influence(a - b, of_a - of_b, min(counted_a, counted_b))


def _centred(column: Column) -> tuple[float, OfQueries, int]:
    values = by_query(column)
    counts = ~np.isnan(values)
    queries, counted = len(values), int(counts.any(axis=1).sum())
    if not counted:
        return np.nan, np.zeros(queries), 0
    mean = float(values[counts].mean())
    # As many degrees of freedom as queries that count, although the column is as long as all of them.
    scale = queries / counts.sum() * np.sqrt(counted / max(counted - 1, 1) * (queries - 1) / queries)
    return mean, np.where(counts, values - mean, 0.0).sum(axis=1) * scale, counted


def over_seeds(influences: Sequence[Influence]) -> list[OfQueries]:
    """The influence values of the queries on the mean of the seeds' differences.

    Seeds ask the same queries of a task in the same order, and an easy query is easy under every seed. So columns of
    one length are added query by query: what seeds share is not independent evidence.

    Returns:
        One column for each length that occurs. The mean over seeds varies as the sum of the columns' means.

    >>> seeds = [influence(column, np.zeros(2)) for column in (np.array([3.0, 1.0]), np.array([2.0, 2.0]))]
    >>> [column.tolist() for column in over_seeds(seeds)]
    [[0.5, -0.5]]
    """
    by_length: dict[int, list[OfQueries]] = {}
    for one in influences:
        by_length.setdefault(len(one.of_queries), []).append(one.of_queries)
    return [np.sum(columns, axis=0) / len(influences) for columns in by_length.values()]


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
        error: its standard error.
        resamples: deviations of resampled means, each in its own standard errors.
        freedom: degrees of freedom of `error`, for Student's interval.
        confidence: coverage of the interval.

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
