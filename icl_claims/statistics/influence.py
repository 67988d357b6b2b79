"""Columns of values by query, and what each query contributes to a difference of their means."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

Column = Float[np.ndarray, "_ ..."]
"""One value per query, or [queries, values] several; NaN marks a value that does not count.

Queries are the unit of drawing: several values of one are never independent evidence. Columns of one call may differ
in length.
"""
OfQueries = Float[np.ndarray, " _"]
"""One number per query."""


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
