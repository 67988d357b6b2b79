"""Columns of values by query, and what each query contributes to a difference of their means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

Column = Float[np.ndarray, "_ ..."]
"""One value a query, or [queries, values] several; NaN marks a value that does not count.

Queries are what is drawn, so the values of one are never taken for independent evidence. Columns of one call need not
be of one length.
"""
OfQueries = Float[np.ndarray, " _"]
"""One number a query."""


def by_query(column: Column) -> Float[np.ndarray, "_ _"]:
    """The column as [queries, values], also where each query has a single value."""
    return column.reshape(len(column), math.prod(column.shape[1:]))


def queries_that_count(column: Column) -> Bool[np.ndarray, " _"]:
    """Which queries have a value that counts."""
    return np.asarray((~np.isnan(by_query(column))).any(axis=1))


@dataclass(frozen=True, eq=False)
class Influence:
    """A difference of two means, and what each query contributes to it.

    Args:
        difference: mean(left) - mean(right), each over the values that count; NaN where one counts none.
        of_queries: by query, so scaled that the difference varies from sample to sample as the mean of independent
            draws of these numbers does; their own mean is 0.
        counted: how many queries count on the side that counts fewer.
    """

    difference: float
    of_queries: OfQueries
    counted: int


def influence(left: Column, right: Column) -> Influence:
    """The influence of each query on mean(left) - mean(right), for columns about the same queries.

    Source: the linearisation of a ratio (Cochran 1977, section 6.3), here of sums over the values that count.
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
    """What the queries contribute to the mean of the seeds' differences.

    Seeds ask the same queries of a task in the same order, and an easy query is easy under every seed. So columns of
    one length are added query by query, and what seeds share is not taken for independent evidence.

    Returns:
        One column for each length that occurs. The mean over seeds varies as the sum of the columns' means.
    """
    by_length: dict[int, list[OfQueries]] = {}
    for one in influences:
        by_length.setdefault(len(one.of_queries), []).append(one.of_queries)
    return [np.sum(columns, axis=0) / len(influences) for columns in by_length.values()]
