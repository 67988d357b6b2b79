"""Score intervals of proportions: they hold for a handful of queries, and for proportions near 0 and 1.

A proportion is the mean of a column of 0 and 1. Several columns, one per seed, are counted together; seeds with
columns of one length ask the same queries, those of other lengths others. What the answers to a query share, under
several seeds or in a column with several values per query, is not independent evidence.
"""

import math
from collections.abc import Sequence

import numpy as np
import scipy

from icl_claims.statistics.intervals import CONFIDENCE, UNDEFINED, Interval, bootstrap_difference, bootstrap_mean
from icl_claims.statistics.resampling import RESAMPLES, Column, by_query

NEXT_TO = 1e-9  # far less than the width of any score interval

Columns = Column | Sequence[Column]
"""One column, or one per seed."""


def is_binary(columns: Columns) -> bool:
    """Whether every value that counts is 0 or 1.

    >>> is_binary(np.array([1.0, np.nan, 0.0])), is_binary(np.array([0.5]))
    (True, False)
    """
    values = np.concatenate(_by_seed(columns))
    return bool(np.isin(values[~np.isnan(values)], (0.0, 1.0)).all())


def wilson(columns: Columns, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a proportion.

    Source: Wilson 1927; with the effective number of queries of Korn and Graubard 1998 for several seeds.

    >>> interval = wilson(np.array([1.0, 1.0, 1.0, 1.0]))
    >>> interval.estimate, round(interval.low, 2), interval.high
    (1.0, 0.51, 1.0)
    """
    by_seed = _by_seed(columns)
    counted = int(sum((~np.isnan(column)).sum() for column in by_seed))
    if not counted:
        return UNDEFINED
    share = float(sum(np.nansum(column) for column in by_seed)) / counted
    queries, z = counted / design_effect(by_seed), _deviations(confidence)
    centre = (share + z**2 / (2 * queries)) / (1 + z**2 / queries)
    half = z / (1 + z**2 / queries) * np.sqrt(share * (1 - share) / queries + z**2 / (4 * queries**2))
    return Interval(share, max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def newcombe(left: Columns, right: Columns, confidence: float = CONFIDENCE) -> Interval:
    """Interval of left - right for two proportions that are counted on different queries.

    Source: Newcombe 1998, hybrid score interval (method 10).

    >>> interval = newcombe(np.array([1.0, 1.0, 1.0, 1.0]), np.array([0.0, 0.0, 0.0]))
    >>> interval.estimate, round(interval.low, 2), interval.high
    (1.0, 0.25, 1.0)
    """
    a, b = wilson(left, confidence), wilson(right, confidence)
    if np.isnan(a.estimate) or np.isnan(b.estimate):
        return UNDEFINED
    difference = a.estimate - b.estimate
    down = np.hypot(a.estimate - a.low, b.high - b.estimate)
    up = np.hypot(a.high - a.estimate, b.estimate - b.low)
    return Interval(difference, float(difference - down), float(difference + up))


def tango(left: Columns, right: Columns, confidence: float = CONFIDENCE) -> Interval:
    """Score interval of left - right for two proportions on the same queries.

    Source: Tango 1998, Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design.

    >>> interval = tango(np.array([1.0, 1.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0]))
    >>> interval.estimate, round(interval.low, 2), round(interval.high, 2)
    (0.5, -0.23, 0.85)
    """
    by_seed = [a - b for a, b in zip(_by_seed(left), _by_seed(right), strict=True)]
    apart = np.concatenate(by_seed)
    effect = design_effect(by_seed)
    pairs, only_left, only_right = (
        float(number) / effect for number in ((~np.isnan(apart)).sum(), (apart > 0).sum(), (apart < 0).sum())
    )
    if not pairs:
        return UNDEFINED
    difference, counts = (only_left - only_right) / pairs, (pairs, only_left, only_right, _deviations(confidence))
    # Without discordant pairs, or with no other, the difference itself is a root; the bounds are the next ones.
    low = scipy.optimize.brentq(_tango_score, -1.0, difference - NEXT_TO, counts) if difference > -1 else -1.0
    high = scipy.optimize.brentq(_tango_score, difference + NEXT_TO, 1.0, counts) if difference < 1 else 1.0
    return Interval(difference, float(low), float(high))


def _tango_score(truth: float, pairs: float, only_left: float, only_right: float, z: float) -> float:
    """Above 0 if the difference seen is over z standard errors from `truth`, with the other share at its likeliest."""
    linear = (2 * pairs - only_left + only_right) * truth - only_left - only_right
    constant = -only_right * truth * (1 - truth)
    right_if_true = (math.sqrt(max(linear**2 - 8 * pairs * constant, 0.0)) - linear) / (4 * pairs)
    variance = (2 * right_if_true + truth * (1 - truth)) / pairs
    return ((only_left - only_right) / pairs - truth) ** 2 - z**2 * variance


def design_effect(by_seed: Sequence[Column]) -> float:
    """The design effect: by what factor repeated answers to the same query inflate the variance of a proportion.

    With r_qa the deviation of answer a to query q from the proportion, and N answers to n queries, the variance of the
    proportion is n/(n-1) sum_q (sum_a r_qa)^2 / N^2 if queries are drawn, and sum_qa r_qa^2 / N^2 if answers were: the
    effect is their ratio, and N divided by it the effective number of queries.

    Returns:
        From 1, if a query's answers have nothing in common, to the largest number of answers to a query, if they are
        all alike, or if there is no variation to estimate it from.

    Source: Korn and Graubard 1998, the ratio of a proportion's variance over clusters to its binomial variance.

    >>> column = np.array([1.0, 0.0, 1.0, 0.0])
    >>> design_effect([column]), design_effect([column, column]), design_effect([column, 1 - column])
    (1.0, 2.0, 1.0)
    """
    answers = [by_query(column) for column in by_seed]
    same_queries = len({len(column) for column in answers}) == 1
    of_each = [int((~np.isnan(column)).sum(axis=1).max(initial=1)) for column in answers]
    most = float(sum(of_each) if same_queries else max(of_each))
    clusters = np.concatenate(answers, axis=1) if same_queries else np.concatenate(answers)
    counts = ~np.isnan(clusters)
    if most == 1 or not counts.any():
        return 1.0
    residuals = np.where(counts, clusters - clusters[counts].mean(), 0.0)
    queries, alone = int(counts.any(axis=1).sum()), float((residuals**2).sum())
    if queries == 1 or alone == 0:
        return most
    together = float((residuals.sum(axis=1) ** 2).sum()) * queries / (queries - 1)
    return float(np.clip(together / alone, 1, most))


def _by_seed(columns: Columns) -> list[Column]:
    return [columns] if isinstance(columns, np.ndarray) else list(columns)


def _deviations(confidence: float) -> float:
    return float(scipy.stats.norm.ppf((1 + confidence) / 2))


def difference_interval(
    left: Sequence[Column],
    right: Sequence[Column] | float,
    *,
    seed: int,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """The interval of mean(left) - mean(right), or of mean(left) - a number.

    Proportions get a score interval, which also holds for a handful of queries: Wilson's against a number, Tango's
    on the same queries, Newcombe's on different ones. Other means get the bootstrap's.

    >>> interval = difference_interval([np.array([1.0, 1.0, 0.0, 1.0])], 0.5, seed=0)
    >>> interval.estimate, round(interval.low, 2), round(interval.high, 2)
    (0.25, -0.2, 0.45)
    """
    if isinstance(right, Sequence):
        if not (is_binary(left) and is_binary(right)):
            return bootstrap_difference(left, right, seed=seed, confidence=confidence, resamples=resamples)
        same = all(np.array_equal(np.isnan(a), np.isnan(b)) for a, b in zip(left, right, strict=True))
        return (tango if same else newcombe)(left, right, confidence)
    if is_binary(left):
        level = wilson(left, confidence)
    else:
        level = bootstrap_mean(left, seed=seed, confidence=confidence, resamples=resamples)
    return Interval(level.estimate - right, level.low - right, level.high - right)
