"""Intervals for means over queries, for their differences, over tasks, and for the number of another run.

Everywhere on this floor there is one column of values per seed (of demonstrations), in which NaN marks a value that
does not count; left and right columns are about the same queries, `confidence` is the coverage of the interval, such as
0.95, and `seed` is that of the resampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Float

from icl_claims.statistics import resampling
from icl_claims.statistics.resampling import RESAMPLES, Column, Influence, bootstrap_t, influence, over_seeds

CONFIDENCE = 0.95
FEWEST_TO_DRAW_FROM = 5
VANISHING_RANGE = 1e-12  # relative; differences of tasks that are closer are equal but for rounding


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


def bootstrap_mean(
    columns: Sequence[Column], *, seed: int, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> Interval:
    """Bootstrap interval of the mean of per-seed means; see `bootstrap_difference`.

    >>> round(bootstrap_mean([np.arange(8.0)], seed=0).low, 1)
    1.3
    """
    nothing = [np.zeros_like(column) for column in columns]
    return bootstrap_difference(columns, nothing, seed=seed, confidence=confidence, resamples=resamples)


def bootstrap_difference(
    left: Sequence[Column],
    right: Sequence[Column],
    *,
    seed: int,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Bootstrap-t interval of mean(left) - mean(right) on the same queries, averaged over seeds.

    Queries are resampled. Seeds whose columns are of one length ask the same queries, which are resampled together.

    Returns:
        The mean over seeds of the difference of means; undefined if a column counts fewer than two queries.

    Source: Efron and Tibshirani 1993, section 12.5.

    >>> interval = bootstrap_difference([np.arange(8.0)], [np.zeros(8)], seed=0)
    >>> interval.estimate, interval.excludes_below(0.0)
    (3.5, True)
    """
    influences = [influence(a, b) for a, b in zip(left, right, strict=True)]
    counted = min((one.counted for one in influences), default=0)
    if counted < 2:
        return UNDEFINED
    estimate = float(np.mean([one.difference for one in influences]))
    error, drawn = resampling.studentised_resamples(over_seeds(influences), resamples, np.random.default_rng(seed))
    return Interval(estimate, *bootstrap_t(estimate, error, drawn, freedom=counted - 1, confidence=confidence))


def seeds_interval(differences: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Student's t interval of a mean over runs, or over tasks, one number each; bounds are NaN for only one.

    >>> interval = seeds_interval([1.0, 2.0, 3.0])
    >>> interval.estimate, round(interval.low, 2), round(interval.high, 2)
    (2.0, -0.48, 4.48)
    """
    runs = len(differences)
    if not runs:
        return UNDEFINED
    estimate = float(np.mean(differences))
    if runs == 1:
        return Interval(estimate, np.nan, np.nan)
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, runs - 1) * np.std(differences, ddof=1) / np.sqrt(runs))
    return Interval(estimate, estimate - half, estimate + half)


def hierarchical_difference(
    left: Sequence[Sequence[Column]],
    right: Sequence[Sequence[Column]],
    *,
    seed: int,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Bootstrap-t interval of mean(left) - mean(right), averaged over seeds and then over tasks.

    It generalises to tasks that were not tried: tasks are resampled, then the seeds of each, then their queries. The
    spread of the tasks' differences already holds the noise of seeds and queries: Var(seen) = Var(true) + Var(noise).
    So a resample's distance from the estimate is measured in standard errors of its own tasks, and that noise is
    counted once.

    Returns:
        The mean of the tasks' differences; undefined for fewer than two tasks, or where a column counts no query. Up
        to four tasks are too few to be drawn from: theirs is Student's interval. Bounds are NaN if all tasks have the
        same difference, as shares of a few queries may: nothing is then known of their spread.

    Source: Davison and Hinkley 1997, section 3.8 (resampling of nested levels); Efron and Tibshirani 1993,
    section 12.5 (bootstrap-t).

    >>> left, right = ([[np.full(4, mean)] for mean in means] for means in ((0.1, 0.2, 0.3), (0.0, 0.0, 0.0)))
    >>> interval = hierarchical_difference(left, right, seed=0)
    >>> round(interval.estimate, 2), round(interval.low, 2), round(interval.high, 2)
    (0.2, -0.05, 0.45)
    """
    tasks = [[influence(a, b) for a, b in zip(*sides, strict=True)] for sides in zip(left, right, strict=True)]
    if len(tasks) < 2 or any(not seeds or min(one.counted for one in seeds) < 1 for seeds in tasks):
        return UNDEFINED
    of_tasks = np.array([np.mean([one.difference for one in seeds]) for seeds in tasks])
    estimate = float(of_tasks.mean())
    if np.ptp(of_tasks) <= VANISHING_RANGE * max(1.0, float(np.abs(of_tasks).max())):
        return Interval(estimate, np.nan, np.nan)
    if len(tasks) < FEWEST_TO_DRAW_FROM:
        return seeds_interval(of_tasks.tolist(), confidence)
    drawn, root = _resampled_tasks(tasks, resamples, np.random.default_rng(seed)), np.sqrt(len(tasks))
    distances = resampling.in_standard_errors(drawn.mean(axis=1) - estimate, drawn.std(axis=1, ddof=1) / root)
    error, freedom = float(of_tasks.std(ddof=1) / root), len(tasks) - 1
    return Interval(estimate, *bootstrap_t(estimate, error, distances, freedom=freedom, confidence=confidence))


def _resampled_tasks(
    tasks: Sequence[Sequence[Influence]], resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, "resamples tasks"]:
    """Differences of as many tasks as there are, drawn with replacement, each over seeds and queries drawn again."""
    of_every_task = np.stack([_resampled_task(seeds, len(tasks), resamples, generator) for seeds in tasks], axis=2)
    chosen = generator.integers(0, len(tasks), (resamples, len(tasks), 1))
    return np.take_along_axis(of_every_task, chosen, axis=2)[:, :, 0]


def _resampled_task(
    seeds: Sequence[Influence], times: int, resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, "resamples times"]:
    of_seeds = np.empty((resamples, len(seeds)))
    lengths = np.array([len(one.of_queries) for one in seeds])
    for length in np.unique(lengths):
        # Seeds with columns of one length ask the same queries: they are resampled together.
        together = np.flatnonzero(lengths == length).tolist()
        columns = np.stack([seeds[i].of_queries for i in together], axis=1)
        of_seeds[:, together] = resampling.resampled_sums(columns, resamples, generator) / length
    of_seeds += [one.difference for one in seeds]
    which = generator.integers(0, resamples, (resamples, times, 1))
    return np.asarray(of_seeds[which, generator.integers(0, len(seeds), (resamples, times, len(seeds)))].mean(axis=2))


def prediction_interval(columns: Sequence[Column], confidence: float = CONFIDENCE) -> Interval:
    """Where the mean of one more seed, asked the same queries, is expected, given the seeds that were run.

    A seed's number is mean + seed effect + query effect + their interaction. Another one draws the seed effect and the
    interaction again, whose variance the spread of the seeds' means estimates; their distance from the mean over seeds
    has 1 + 1/seeds times that variance.

    Returns:
        The mean over seeds, and the interval of the next seed's mean. Its bounds are NaN where fewer than two seeds
        were run, and all is undefined where a column counts fewer than two queries.

    Source: components of variance of a crossed design (Searle, Casella and McCulloch 1992, section 4.2).

    >>> seeds = [np.repeat([1.0, 0.0], (70 + right, 30 - right)) for right in range(5)]
    >>> interval = prediction_interval(seeds)
    >>> round(interval.estimate, 2), round(interval.low, 2), round(interval.high, 2)
    (0.72, 0.67, 0.77)
    """
    influences = [influence(column, np.zeros_like(column)) for column in columns]
    if min((one.counted for one in influences), default=0) < 2:
        return UNDEFINED
    means = np.array([one.difference for one in influences])
    estimate, seeds = float(means.mean()), len(means)
    if seeds == 1:
        return Interval(estimate, np.nan, np.nan)
    quantile = float(scipy.stats.t.ppf((1 + confidence) / 2, seeds - 1))
    half = float(np.sqrt(float(means.var(ddof=1)) * (1 / seeds + 1) * quantile**2))
    return Interval(estimate, estimate - half, estimate + half)
