"""The interval in which the number of another run is expected, for saying that a printed number is reproduced."""

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

    A run's number is mean + seed effect + query effect + their interaction; another run draws the effects again.
    `between` estimates seed effect + interaction from the spread of the seeds' means; `shared` estimates the query
    effect from columns of one length, which are about the same queries; `own` is the rest, the interaction. The two
    runs' distance then has the variance between (1/seeds + 1/new_seeds) + shared (1 + queries/new_queries), corrected
    for the interaction if the other run asked more or fewer queries.

    Args:
        columns: one column of values per seed.
        new_queries: number of queries of the other run, counted as the columns' rows are.
        new_seeds: number of seeds over which its number is the mean.
        same_queries: whether it asked exactly these queries.
        confidence: coverage of the interval, such as 0.95.

    Returns:
        The mean over seeds, and the interval of the other run's number. Its bounds are NaN where fewer than two seeds
        were run, and all is undefined where a column counts fewer than two queries.

    Source: components of variance of a crossed design (Searle, Casella and McCulloch 1992, section 4.2) with the
    degrees of freedom of Satterthwaite 1946. Student's squared quantile is interpolated, linearly in their inverse,
    between that of the queries and that of the seeds: coverage is then nominal for a handful of seeds, where the
    quantile at the estimated degrees of freedom falls short. Where seeds hardly differ, and the other run asked many
    more queries, coverage is two or three points too high.

    >>> seeds = [np.repeat([1.0, 0.0], (70 + right, 30 - right)) for right in range(5)]
    >>> interval = prediction_interval(seeds, new_queries=200)
    >>> round(interval.estimate, 2), round(interval.low, 2), round(interval.high, 2)
    (0.72, 0.61, 0.83)
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
    """Variance times squared quantile, which goes from the second to the first with the seeds' share of variance."""
    variance = of_seeds + of_queries
    share = (of_seeds / variance) ** 2 if variance else 1.0
    return variance * (share * squares[0] + (1 - share) * squares[1])


def _noise_of_queries(influences: Sequence[Influence]) -> tuple[float, float]:
    """Variance of a seed's mean from its queries: the part shared by all seeds that ask them, and the seed's own."""
    seeds = len(influences)
    together = sum(_error(column) for column in over_seeds(influences))
    within = float(np.mean([_error(one.of_queries) for one in influences]))
    shared = float(np.clip((seeds * together - within) / (seeds - 1), 0.0, within))
    return shared, within - shared


def _error(column: Column) -> float:
    """The variance of the mean of independent draws like these."""
    return float(column.var(ddof=1)) / len(column)
