"""Bootstrap intervals of means: what they are equal to, what they do not depend on, and where there are none."""

from __future__ import annotations

import math
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from icl_claims.statistics.intervals import (
    UNDEFINED,
    Interval,
    bootstrap_difference,
    bootstrap_mean,
    hierarchical_difference,
    seeds_interval,
)
from icl_claims.statistics.resampling import influence

Z = stats.norm.ppf(0.975)
sizes, seeds = st.integers(5, 60), st.integers(0, 1000)


def normal(n, seed=0):
    return np.random.default_rng(seed).normal(size=n)


def numbers(interval):
    return interval.estimate, interval.low, interval.high


def test_an_interval_that_touches_a_value_does_not_exclude_it():
    assert not Interval(0.5, 0.0, 1.0).excludes_below(0.0)
    assert not Interval(-0.5, -1.0, 0.0).excludes_above(0.0)


@given(seeds, sizes)
def test_a_bootstrap_is_repeated_by_its_seed(seed, n):
    assert bootstrap_mean([normal(n)], seed=seed) == bootstrap_mean([normal(n)], seed=seed)


def test_another_seed_is_another_interval_of_one_estimate():
    one, other = (bootstrap_mean([normal(40)], seed=seed) for seed in (0, 1))
    assert one.estimate == other.estimate
    assert one != other


def test_a_large_normal_column_has_the_normal_interval():
    column = stats.norm.ppf((np.arange(2000) + 0.5) / 2000) * 3 + 10
    got, half = bootstrap_mean([column], seed=0), Z * column.std() / math.sqrt(2000)
    assert numbers(got) == pytest.approx((10, 10 - half, 10 + half), abs=0.06 * half)


def test_the_bootstrap_is_that_of_scipy_studentised():
    """The bounds are the estimate minus quantiles of (resampled mean - mean) / its own standard error."""
    column = np.random.default_rng(3).exponential(size=30)

    def in_errors(values, axis=-1):
        return (values.mean(axis) - column.mean()) / (values.std(axis, ddof=1) / np.sqrt(values.shape[axis]))

    drawn = stats.bootstrap((column,), in_errors, n_resamples=20_000, rng=0, method="percentile").confidence_interval
    error = column.std(ddof=1) / np.sqrt(30)
    wanted = column.mean(), column.mean() - drawn.high * error, column.mean() - drawn.low * error
    assert numbers(bootstrap_mean([column], seed=0, resamples=20_000)) == pytest.approx(wanted, abs=0.05 * error)


@given(seeds, sizes, st.floats(-10, 10), st.floats(0.1, 10))
def test_intervals_move_and_stretch_with_their_columns(seed, n, shift, scale):
    one, moved = (
        bootstrap_mean([column], seed=seed, resamples=400) for column in (normal(n), normal(n) * scale + shift)
    )
    assert numbers(moved) == pytest.approx([number * scale + shift for number in numbers(one)], abs=1e-6)


@given(seeds, sizes)
def test_what_both_sides_share_does_not_matter(seed, n):
    left, right, shared = normal(n), normal(n, 1), 5 * normal(n, 2)
    apart, together = (
        bootstrap_difference([a], [b], seed=seed, resamples=400)
        for a, b in ((left, right), (left + shared, right + shared))
    )
    assert numbers(together) == pytest.approx(numbers(apart), abs=1e-6)


def test_a_bootstrap_is_paired_by_query():
    noise = normal(50)
    assert numbers(bootstrap_difference([noise + 0.1], [noise], seed=0)) == pytest.approx((0.1, 0.1, 0.1))
    assert bootstrap_difference([noise + 0.1], [noise[::-1]], seed=0).low < 0


@given(st.floats(-1, 1), sizes, st.integers(1, 4))
def test_constant_columns_give_an_interval_without_width(value, n, seeds):
    columns = [np.full(n, value)] * seeds
    for interval in (
        bootstrap_mean(columns, seed=0, resamples=100),
        seeds_interval([value] * (seeds + 1)),
    ):
        assert numbers(interval) == pytest.approx((value, value, value), abs=1e-12)


@given(st.floats(-1, 1), sizes, st.integers(1, 4), st.integers(2, 8))
def test_equal_tasks_tell_nothing_of_others(value, n, seeds, tasks):
    """Such as shares of a few queries, all of which are 1: their interval would have no width."""
    columns, zeros = [np.full(n, value)] * seeds, [np.zeros(n)] * seeds
    interval = hierarchical_difference([columns] * tasks, [zeros] * tasks, seed=0, resamples=100)
    assert interval.estimate == pytest.approx(value, abs=1e-12)
    assert np.isnan([interval.low, interval.high]).all()


def test_resamples_without_spread_do_not_make_a_bound_infinite():
    rare = np.array([0.5] + [0.0] * 30)
    got, half = bootstrap_mean([rare], seed=0), stats.t.ppf(0.975, 30) * rare.std(ddof=1) / math.sqrt(31)
    assert (got.low, got.high) == pytest.approx((rare.mean() - half, rare.mean() + half))


def test_every_seed_counts_alike_whatever_its_number_of_queries():
    got = bootstrap_mean([np.zeros(10), np.ones(90)], seed=0)
    assert numbers(got) == pytest.approx((0.5, 0.5, 0.5))


def test_seeds_with_the_same_queries_are_not_independent():
    column = normal(40)
    once, thrice = bootstrap_mean([column], seed=0), bootstrap_mean([column] * 3, seed=0)
    assert numbers(thrice) == pytest.approx(numbers(once))
    of_their_own = bootstrap_mean([column, normal(40, 1), normal(40, 2)], seed=0)
    assert of_their_own.high - of_their_own.low < 0.75 * (once.high - once.low)


def test_seeds_of_other_lengths_are_resampled_each_by_itself():
    columns = [normal(300), normal(400, 1)]
    got, variance = bootstrap_mean(columns, seed=0), sum(column.var() / len(column) for column in columns) / 4
    assert got.high - got.low == pytest.approx(2 * Z * math.sqrt(variance), rel=0.05)


def test_queries_that_do_not_count_leave_the_interval_alone():
    few = normal(30)
    sparse = np.full(60, np.nan)
    sparse[::2] = few
    got, wanted = bootstrap_mean([sparse], seed=0), bootstrap_mean([few], seed=0)
    assert got.estimate == pytest.approx(wanted.estimate)
    assert got.high - got.low == pytest.approx(wanted.high - wanted.low, rel=0.1)


@given(seeds, st.integers(4, 30), st.integers(4, 30))
def test_columns_of_different_queries_vary_like_two_samples(seed, n, m):
    """Welch's standard error, as the two means then have no query in common."""
    a, b = normal(n, seed), normal(m, seed + 1)
    left, right = np.append(a, np.full(m, np.nan)), np.append(np.full(n, np.nan), b)
    got = influence(left, right)
    assert got.difference == pytest.approx(a.mean() - b.mean())
    error = got.of_queries.std(ddof=1) / math.sqrt(n + m)
    assert error == pytest.approx(math.sqrt(a.var(ddof=1) / n + b.var(ddof=1) / m))


@given(seeds, st.integers(4, 30))
def test_values_of_one_query_are_one_observation(seed, n):
    """Two equal values a query tell what one does; a second value that never counts tells nothing."""
    column, nothing = normal(n, seed), np.full(n, np.nan)
    for other in (column, nothing):
        got, wanted = (influence(left, np.zeros(n)) for left in (np.stack([column, other], axis=1), column))
        assert (got.difference, got.counted) == (pytest.approx(wanted.difference), n)
        np.testing.assert_allclose(got.of_queries, wanted.of_queries, atol=1e-12)


@pytest.mark.parametrize(
    ("left", "right"),
    [([np.nan] * 3, [0.0] * 3), ([0.0, 1.0, 1.0], [np.nan] * 3), ([1.0, np.nan, np.nan], [0.0] * 3)],
)
def test_fewer_than_two_queries_give_no_bootstrap_interval(left, right):
    assert bootstrap_difference([np.array(left)], [np.array(right)], seed=0) is UNDEFINED


def test_nothing_at_all_has_no_interval():
    assert bootstrap_mean([], seed=0) is UNDEFINED
    assert hierarchical_difference([], [], seed=0) is UNDEFINED
    assert seeds_interval([]) is UNDEFINED


def test_columns_of_different_numbers_of_seeds_are_refused():
    with pytest.raises(ValueError, match=r"longer|shorter"):
        bootstrap_difference([np.zeros(3)], [], seed=0)


# Over runs, and over tasks


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=6), st.sampled_from([0.9, 0.95]))
def test_the_interval_over_seeds_is_that_of_scipys_t_test(differences, confidence):
    got = seeds_interval(differences, confidence)
    if np.std(differences) > 1e-6:
        wanted = stats.ttest_1samp(differences, 0.0).confidence_interval(confidence)
        assert (got.low, got.high) == pytest.approx((wanted.low, wanted.high))


def test_one_seed_has_an_estimate_and_no_bounds():
    got = seeds_interval([0.3])
    assert got.estimate == 0.3
    assert np.isnan([got.low, got.high]).all()


def tasks_that_differ(spread, tasks=6, seeds=3, queries=40):
    generator = np.random.default_rng(0)
    of_task = spread * generator.normal(size=tasks)
    left = [[value + 0.1 * generator.normal(size=queries) for _ in range(seeds)] for value in of_task]
    return left, [[np.zeros(queries)] * seeds] * tasks, of_task


def test_the_interval_over_tasks_has_tasks_as_its_unit():
    left, right, of_task = tasks_that_differ(1.0)
    got = hierarchical_difference(left, right, seed=0)
    assert got.estimate == pytest.approx(np.mean([np.mean(seeds) for seeds in left]))
    half = stats.t.ppf(0.975, 5) * of_task.std(ddof=1) / math.sqrt(6)
    assert 0.8 < (got.high - got.low) / (2 * half) < 1.6
    as_if_known = bootstrap_difference(*(list(chain(*side)) for side in (left, right)), seed=0)
    assert got.high - got.low > 10 * (as_if_known.high - as_if_known.low)


def test_the_interval_over_tasks_moves_with_the_columns():
    left, right, _ = tasks_that_differ(0.3)
    moved = [[column + 2 for column in seeds] for seeds in left]
    one, other = (hierarchical_difference(side, right, seed=0, resamples=400) for side in (left, moved))
    assert numbers(other) == pytest.approx([number + 2 for number in numbers(one)])


def test_few_tasks_are_not_drawn_from():
    left, right, _ = tasks_that_differ(0.3, tasks=4)
    wanted = seeds_interval([float(np.mean(seeds)) for seeds in left])
    assert numbers(hierarchical_difference(left, right, seed=0)) == pytest.approx(numbers(wanted))


def test_one_task_tells_nothing_about_others():
    left, right, _ = tasks_that_differ(0.3, tasks=1)
    assert hierarchical_difference(left, right, seed=0) is UNDEFINED


def test_a_task_without_queries_leaves_no_interval_over_tasks():
    left, right, _ = tasks_that_differ(0.3, tasks=2)
    left[0][0] = np.full(40, np.nan)
    assert hierarchical_difference(left, right, seed=0) is UNDEFINED
