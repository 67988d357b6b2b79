"""What replicates say about a mean: the unit of inference is a draw of demonstrations, never a query.

A replicate of a task gives one number for each side of a comparison. Where it asks queries of its own, replicates are
independent. Where all ask the same queries (the authors' protocol), draws are crossed with queries: how far the mean
may be off has a part of the draws and a part of the queries, and the squares of the two half-widths add up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from icl_claims.statistics import sequential
from icl_claims.statistics.estimates import ERROR, Estimate, student_critical
from icl_claims.statistics.intervals import UNDEFINED, Interval

Column = Float[np.ndarray, "_ ..."]
"""One value per query, or [queries, values] several; NaN marks a value that does not count."""
Draw = tuple[int, int]
"""The seed and the permutation of a draw of demonstrations."""
SAME = 1e-12  # relative; numbers of replicates that are closer are equal but for rounding


@dataclass(frozen=True, eq=False)
class Replicates:
    """Both sides of a comparison on one task, a number for each replicate.

    Args:
        draws: what tells the replicates apart; those of several comparisons are paired by it.
        left: numbers of one side, whose mean is the side's.
        right: numbers of the other.
        looked_at: as in an `Estimate`.
        queries: what each query contributes to both sides, where all replicates ask the same queries: an array [sides,
            queries] for each task.
        bounds: from where to where the difference of the sides can lie.
    """

    draws: tuple[Draw, ...]
    left: Float[np.ndarray, " replicates"]
    right: Float[np.ndarray, " replicates"]
    looked_at: bool = True
    queries: tuple[Float[np.ndarray, "2 _"], ...] = ()
    bounds: tuple[float, float] = (-math.inf, math.inf)

    @classmethod
    def of_columns(
        cls,
        draws: Sequence[Draw],
        left: Sequence[Column],
        right: Sequence[Column] | float,
        *,
        same_queries: bool = False,
        bounds: tuple[float, float] = (-math.inf, math.inf),
    ) -> "Replicates":
        """Both sides from a column of queries for every replicate.

        A side is the mean of all values that count, and so a ratio of sums; its number in a replicate is the linearised
        one, R + n (S_r - R N_r) / N. A replicate in which nothing counts on either side is left out.

        Args:
            draws: what tells the replicates apart.
            left: a column of queries for every replicate.
            right: columns about the same queries, or a number.
            same_queries: whether all replicates ask the same queries.
            bounds: from where to where the difference can lie.

        Source: linearisation of a ratio (Cochran 1977, section 6.3), which is its infinitesimal jackknife.

        >>> found = Replicates.of_columns([(0, 0), (1, 0)], [np.array([1.0, 0.0]), np.array([1.0, np.nan])], 0.5)
        >>> round(found.contrast().value, 3), found.left.round(3).tolist()
        (0.167, [0.444, 0.889])
        """
        columns = [left] if isinstance(right, float) else [left, right]
        sums, counts = (np.array([[of(column) for column in side] for side in columns]) for of in (np.nansum, _counted))
        counting = np.asarray((counts > 0).any(axis=0))
        kept, sums, counts = int(counting.sum()), sums[:, counting], counts[:, counting]
        told = tuple(draw for draw, counts_here in zip(draws, counting.tolist(), strict=True) if counts_here)
        if not kept or not counts.sum(axis=1).all():
            nothing = np.full(kept, np.nan)
            return cls(told, nothing, nothing if len(columns) > 1 else np.full(kept, right))
        ratios = (sums.sum(axis=1) / counts.sum(axis=1))[:, None]
        numbers = ratios + kept * (sums - ratios * counts) / counts.sum(axis=1, keepdims=True)
        sides = [*numbers, np.full(kept, right)] if isinstance(right, float) else [*numbers]
        queries: tuple[np.ndarray, ...] = ()
        if same_queries and kept > 1 and min(map(len, left)) > 1:
            of_queries = [_of_queries(side, float(ratio)) for side, ratio in zip(columns, ratios[:, 0], strict=True)]
            of_queries += [np.zeros_like(of_queries[0])] * (2 - len(of_queries))
            queries = (np.stack(of_queries),)
        return cls(told, sides[0], sides[1], queries=queries, bounds=bounds)

    @property
    def means(self) -> tuple[float, float]:
        """The mean of each side; NaN where there is no replicate."""
        left, right = (float(side.mean()) if len(side) else np.nan for side in (self.left, self.right))
        return left, right

    def contrast(self, of_left: float = 1.0, of_right: float = -1.0) -> Estimate:
        """The mean of a weighted sum of both sides; by default of their difference."""
        values = of_left * self.left + of_right * self.right
        if not len(values):
            return Estimate(np.nan, np.nan, 0)
        value, many = float(values.mean()), len(values)
        if many == 1 or not np.isfinite(value):
            return Estimate(value, np.nan, many, self.looked_at)
        spread = float(values.std(ddof=1))
        if np.ptp(values) <= SAME * max(1.0, float(np.abs(values).max())):
            spread = 0.0
        contributions = [of_left * of_task[0] + of_right * of_task[1] for of_task in self.queries]
        variances = [float(of_task.var(ddof=1)) / len(of_task) for of_task in contributions]
        query_error = math.sqrt(sum(variances)) / max(len(variances), 1)
        fewest = min((queries.shape[1] for queries in self.queries), default=0)
        bounds = self.bounds if (of_left, of_right) == (1.0, -1.0) else (-math.inf, math.inf)
        return Estimate(value, spread / math.sqrt(many), many, self.looked_at, query_error, fewest, bounds)

    def beyond(self, null: "Replicates") -> "Replicates":
        """This difference against that of a null, over the replicates of both."""
        common = [draw for draw in self.draws if draw in null.draws]
        mine, its = ([of.draws.index(draw) for draw in common] for of in (self, null))
        queries = tuple(
            np.stack([a[0] - a[1], b[0] - b[1]])
            for a, b in zip(self.queries, null.queries, strict=False)
            if a.shape == b.shape
        )
        differences = (self.left - self.right)[mine], (null.left - null.right)[its]
        (low, high), (its_low, its_high) = self.bounds, null.bounds
        bounds = (low - its_high, high - its_low)
        return type(self)(tuple(common), *differences, looked_at=self.looked_at, queries=queries, bounds=bounds)

    def next_one(self, error: float = ERROR) -> Interval:
        """Where the left side of one more replicate is expected.

        Source: the prediction interval of Student's distribution (Hahn and Meeker 1991, section 4.7).
        """
        many = len(self.left)
        if many < sequential.FEWEST or not np.isfinite(self.left).all():
            return UNDEFINED
        half = student_critical(many, error) * float(self.left.std(ddof=1)) * math.sqrt(1 + 1 / many)
        return Interval(float(self.left.mean()), float(self.left.mean()) - half, float(self.left.mean()) + half)


def mean_over(tasks: Sequence[Replicates]) -> Replicates:
    """The mean over tasks, each as heavy as another, replicate by replicate: about these tasks, and about no others.

    Tasks share seeds, words and a model. So a replicate of one is paired with that of another, and whatever they have
    in common counts once: by their draws where all tasks have some in common, else in their order. Others are left out.

    >>> tasks = [Replicates(((0, 0), (1, 0)), np.array([1.0, 2.0]), np.zeros(2)) for _ in range(3)]
    >>> mean_over(tasks).left.tolist()
    [1.0, 2.0]
    """
    first = tasks[0]
    common = [draw for draw in first.draws if all(draw in task.draws for task in tasks)]
    many = len(common) or min(len(task.draws) for task in tasks)
    places = [[task.draws.index(draw) for draw in common] or list(range(many)) for task in tasks]
    left, right = (
        np.mean([getattr(task, side)[place] for task, place in zip(tasks, places, strict=True)], axis=0)
        for side in ("left", "right")
    )
    queries = tuple(of_task for task in tasks for of_task in task.queries)
    return Replicates(tuple(common) or first.draws[:many], left, right, first.looked_at, queries, first.bounds)


def _counted(column: Column) -> int:
    return int((~np.isnan(column)).sum())


def _of_queries(columns: Sequence[Column], ratio: float) -> Float[np.ndarray, " queries"]:
    """What each query contributes to a ratio of sums over all replicates."""
    values = np.stack([column.reshape(len(column), -1) for column in columns])
    counts = ~np.isnan(values)
    deviations = np.where(counts, values - ratio, 0.0).sum(axis=(0, 2))
    return np.asarray(deviations * values.shape[1] / counts.sum())
