"""The interval in which the number of another run is expected, for saying that a printed number is reproduced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from icl_claims.statistics.columns import Column, influence, over_seeds
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

    Source: components of variance of a crossed design (Searle, Casella and McCulloch 1992, section 4.2), with the
    degrees of freedom of Satterthwaite 1946.
    """
    influences = [influence(column, np.zeros_like(column)) for column in columns]
    counted = min((one.counted for one in influences), default=0)
    if counted < 2:
        return UNDEFINED
    means = np.array([one.difference for one in influences])
    estimate, seeds = float(means.mean()), len(means)
    if seeds == 1:
        return Interval(estimate, np.nan, np.nan)

    queries = float(np.mean([len(column) for column in columns]))
    within = float(np.mean([_error(one.of_queries) for one in influences]))
    joint = sum(_error(column) for column in over_seeds(influences))
    shared = float(np.clip((seeds * joint - within) / (seeds - 1), 0.0, within))
    own = within - shared
    between = float(means.var(ddof=1))  # of seeds, with the noise of as many queries as were asked

    smaller = queries / new_queries
    of_queries = 0.0 if same_queries else shared * (1 + smaller) + own * (smaller - 1) / new_seeds
    of_seeds = between * (1 / seeds + 1 / new_seeds)
    least = between / seeds + (0.0 if same_queries else shared * (1 + smaller) + own * smaller / new_seeds)
    variance = max(of_seeds + of_queries, least)
    spread = of_seeds**2 / (seeds - 1) + of_queries**2 / (counted - 1)
    freedom = variance**2 / spread if spread else float(seeds - 1)
    half = float(stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(variance))
    return Interval(estimate, estimate - half, estimate + half)


def _error(column: Column) -> float:
    """The variance of the mean of independent draws like these."""
    return float(column.var(ddof=1)) / len(column)
