"""The interval in which the number of another run is expected, for saying that a printed number is reproduced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from icl_claims.statistics.influence import Column, Influence, influence, over_seeds
from icl_claims.statistics.intervals import CONFIDENCE, UNDEFINED, Interval


def prediction_interval(
    columns: Sequence[Column],
    new_queries: int,
    *,
    new_seeds: int = 1,
    same_queries: bool = False,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Where the mean of another run of the same experiment is expected, given the runs that were made.

    Three things differ between runs: the demonstrations that a seed draws, the queries, and how the two go together.
    The first and the last are told from the seeds' means, what queries have in common under all seeds from columns of
    one length, which are about the same queries.

    Args:
        columns: one column of values a seed.
        new_queries: how many queries the other run asked, counted as the columns' rows are.
        new_seeds: over how many seeds its number is the mean.
        same_queries: whether it asked these very queries, all of them.
        confidence: of the interval.

    Returns:
        The mean over seeds, and the interval of the other run's number. Its bounds are NaN where fewer than two seeds
        were run, and all is undefined where a column counts fewer than two queries.

    Source: components of variance of a crossed design (Searle, Casella and McCulloch 1992, section 4.2) with the
    degrees of freedom of Satterthwaite 1946. Student's squared quantile is taken as linear in their inverse between
    that of the queries and that of the seeds: for a handful of seeds it then covers what it says, where the quantile
    at the estimated degrees of freedom falls short. Where seeds hardly differ, and the other run asked many more
    queries, it covers two or three points more than it says.
    """
    influences = [influence(column, np.zeros_like(column)) for column in columns]
    counted = min((one.counted for one in influences), default=0)
    if counted < 2:
        return UNDEFINED
    means = np.array([one.difference for one in influences])
    estimate, seeds = float(means.mean()), len(means)
    if seeds == 1:
        return Interval(estimate, np.nan, np.nan)

    between = float(means.var(ddof=1))  # of the means of seeds, with the noise of as many queries as were asked
    shared, own = (0.0, 0.0) if same_queries else _noise_of_queries(influences)
    fewer = float(np.mean([len(column) for column in columns])) / new_queries
    squares = [float(scipy.stats.t.ppf((1 + confidence) / 2, freedom)) ** 2 for freedom in (seeds - 1, counted - 1)]

    of_seeds, of_queries = between * (1 / seeds + 1 / new_seeds), shared * (1 + fewer)
    more_noise, less_noise = (own * max(change, 0.0) / new_seeds for change in (fewer - 1, 1 - fewer))
    reach = _squared_reach(of_seeds, of_queries + more_noise, squares) - squares[1] * less_noise
    least = _squared_reach(between / seeds, of_queries + own * fewer / new_seeds, squares)
    half = float(np.sqrt(max(reach, least)))
    return Interval(estimate, estimate - half, estimate + half)


def _squared_reach(of_seeds: float, of_queries: float, squares: Sequence[float]) -> float:
    """The variance times the squared quantile, which goes from the second to the first with the share of the seeds."""
    variance = of_seeds + of_queries
    share = (of_seeds / variance) ** 2 if variance else 1.0
    return variance * (share * squares[0] + (1 - share) * squares[1])


def _noise_of_queries(influences: Sequence[Influence]) -> tuple[float, float]:
    """The variance of a seed's mean that comes from its queries: shared by all seeds that ask them, and its own."""
    seeds = len(influences)
    together = sum(_error(column) for column in over_seeds(influences))
    within = float(np.mean([_error(one.of_queries) for one in influences]))
    shared = float(np.clip((seeds * together - within) / (seeds - 1), 0.0, within))
    return shared, within - shared


def _error(column: Column) -> float:
    """The variance of the mean of independent draws like these."""
    return float(column.var(ddof=1)) / len(column)
