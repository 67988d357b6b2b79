"""The interval of a difference over tasks: it generalises to tasks that were not tried."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from icl_claims.statistics.bootstrap import RESAMPLES, bootstrap_t, in_standard_errors, resampled_sums
from icl_claims.statistics.influence import Column, Influence, influence
from icl_claims.statistics.intervals import CONFIDENCE, UNDEFINED, Interval, seeds_interval

FEWEST_TO_DRAW_FROM = 5
VANISHING_RANGE = 1e-12  # relative; differences of tasks that are closer are equal but for rounding


def hierarchical_difference(
    left: Sequence[Sequence[Column]],
    right: Sequence[Sequence[Column]],
    *,
    seed: int,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Bootstrap-t interval of mean(left) - mean(right), averaged over seeds and then over tasks.

    Tasks are resampled, then the seeds of each, then their queries. The spread of the tasks' differences already holds
    the noise of seeds and queries: Var(seen) = Var(true) + Var(noise). So a resample's distance from the estimate is
    measured in standard errors of its own tasks, and that noise is counted once.

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
    tasks = [
        [influence(a, b) for a, b in zip(of_left, of_right, strict=True)]
        for of_left, of_right in zip(left, right, strict=True)
    ]
    if len(tasks) < 2 or any(not seeds or min(one.counted for one in seeds) < 1 for seeds in tasks):
        return UNDEFINED
    of_tasks = np.array([np.mean([one.difference for one in seeds]) for seeds in tasks])
    if np.ptp(of_tasks) <= VANISHING_RANGE * max(1.0, float(np.abs(of_tasks).max())):
        return Interval(float(of_tasks.mean()), np.nan, np.nan)
    if len(tasks) < FEWEST_TO_DRAW_FROM:
        return seeds_interval(of_tasks.tolist(), confidence)
    generator = np.random.default_rng(seed)
    drawn = _resampled_tasks(tasks, resamples, generator)
    estimate, root = float(of_tasks.mean()), np.sqrt(len(tasks))
    distances = in_standard_errors(drawn.mean(axis=1) - estimate, drawn.std(axis=1, ddof=1) / root)
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
        of_seeds[:, together] = resampled_sums(columns, resamples, generator) / length
    of_seeds += [one.difference for one in seeds]
    which = generator.integers(0, resamples, (resamples, times, 1))
    return np.asarray(of_seeds[which, generator.integers(0, len(seeds), (resamples, times, len(seeds)))].mean(axis=2))
