"""Score intervals of proportions against closed forms, published examples and likelihoods maximised by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm

from icl_claims.statistics.intervals import UNDEFINED, Interval, bootstrap_difference, bootstrap_mean
from icl_claims.statistics.proportions import design_effect, difference_interval, is_binary, newcombe, tango, wilson

Z = norm.ppf(0.975)
binary = st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=1, max_size=40).map(np.array)
counted_binary = binary.filter(lambda column: not np.isnan(column).all())


def bounds(interval):
    return interval.low, interval.high


def pairs(both, left, right, neither):
    return (np.repeat(values, [both, left, right, neither]) for values in ([1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]))


@given(counted_binary)
def test_wilson_is_that_of_scipy(column):
    ones, counted = int(np.nansum(column)), int((~np.isnan(column)).sum())
    wanted = binomtest(ones, counted).proportion_ci(method="wilson")
    got = wilson(column)
    assert (got.estimate, *bounds(got)) == pytest.approx((ones / counted, wanted.low, wanted.high), abs=1e-9)


@given(counted_binary, counted_binary)
def test_newcombe_joins_two_wilson_intervals(left, right):
    a, b, got = wilson(left), wilson(right), newcombe(left, right)
    low = a.estimate - b.estimate - math.sqrt((a.estimate - a.low) ** 2 + (b.high - b.estimate) ** 2)
    high = a.estimate - b.estimate + math.sqrt((a.high - a.estimate) ** 2 + (b.estimate - b.low) ** 2)
    assert (got.estimate, *bounds(got)) == pytest.approx((a.estimate - b.estimate, low, high), abs=1e-9)


def test_newcombe_gives_the_published_example():
    """Newcombe 1998, table II, example (a): 56 of 70 against 48 of 80 gives .0524 to .3339 (method 10)."""
    left, right = (np.repeat([1.0, 0.0], counts) for counts in ([56, 14], [48, 32]))
    assert bounds(newcombe(left, right)) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_tango_gives_the_published_example():
    """Fagerland, Lydersen and Laake 2014: airway reactivity before and after a transplantation, -.517 to -.026."""
    assert bounds(tango(*pairs(1, 1, 7, 12))) == pytest.approx((-0.517, -0.026), abs=5e-4)


def score_of(truth, both_sides, only_left, only_right):
    """How many standard errors a true difference is from the one seen, the rest of it as likely as can be."""
    alike = both_sides - only_left - only_right

    def unlikely(right):
        counts, shares = (only_left, only_right, alike), (right + truth, right, 1 - truth - 2 * right)
        return -sum(n * math.log(max(share, 1e-300)) for n, share in zip(counts, shares, strict=True) if n)

    least, most = max(0.0, -truth), (1 - truth) / 2
    right = minimize_scalar(unlikely, bounds=(least, most), method="bounded", options={"xatol": 1e-12}).x
    variance = (2 * right + truth - truth**2) / both_sides
    return abs((only_left - only_right) / both_sides - truth) / math.sqrt(variance)


@given(st.integers(0, 6), st.integers(1, 8), st.integers(1, 8), st.integers(0, 30))
def test_tango_ends_where_the_most_likely_score_is_one_quantile(both, left, right, neither):
    queries, got = both + left + right + neither, tango(*pairs(both, left, right, neither))
    for bound in bounds(got):
        assert score_of(bound, queries, left, right) == pytest.approx(Z, rel=1e-3)


@given(binary, st.randoms(use_true_random=False))
def test_tango_turned_over_is_its_mirror_image(left, random):
    right = np.array(random.sample(list(left), len(left)))
    got, mirrored = tango(left, right), tango(right, left)
    assert (got is UNDEFINED) == (mirrored is UNDEFINED)
    if got is not UNDEFINED:
        assert bounds(got) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-8)
        assert -1 <= got.low <= got.estimate <= got.high <= 1


@pytest.mark.parametrize("queries", [1, 5, 40, 2000])
def test_methods_that_never_disagree_are_not_surely_the_same(queries):
    got = tango(np.ones(queries), np.ones(queries))
    assert bounds(got) == pytest.approx((-(Z**2) / (queries + Z**2), Z**2 / (queries + Z**2)))


def test_intervals_of_nothing_are_undefined_and_exclude_nothing():
    nothing, something = np.full(3, np.nan), np.array([0.0, 1.0, 1.0])
    for interval in (
        wilson(nothing),
        newcombe(nothing, something),
        newcombe(something, nothing),
        tango(nothing, nothing),
    ):
        assert interval is UNDEFINED
        assert not interval.excludes_below(0.0)
        assert not interval.excludes_above(0.0)


@pytest.mark.parametrize(("column", "binary"), [([0.0, 1.0, np.nan], True), ([0.5, 1.0], False), ([np.nan], True)])
def test_a_column_is_binary_when_all_that_counts_is_zero_or_one(column, binary):
    assert is_binary(np.array(column)) is binary
    assert is_binary([np.array([1.0]), np.array(column)]) is binary


# Several seeds


@given(counted_binary, st.integers(1, 5))
def test_seeds_that_all_give_the_same_answers_count_once(column, seeds):
    assume((~np.isnan(column)).sum() > 1)
    got, wanted = wilson([column] * seeds), wilson(column)
    assert (got.estimate, *bounds(got)) == pytest.approx((wanted.estimate, *bounds(wanted)), abs=0.1 / len(column))
    assert got.high - got.low >= wanted.high - wanted.low - 1e-12


def test_seeds_whose_answers_have_nothing_in_common_count_each():
    by_seed = list((np.random.default_rng(0).random((3, 2000)) < 0.3).astype(float))
    assert design_effect(by_seed) == pytest.approx(1, abs=0.1)
    assert bounds(wilson(by_seed)) == pytest.approx(bounds(wilson(np.concatenate(by_seed))), abs=1e-3)


def test_seeds_of_different_lengths_are_about_different_queries():
    assert design_effect([np.ones(3), np.zeros(4)]) == 1.0


six_queries = st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=6, max_size=6).map(np.array)


@given(st.lists(six_queries, min_size=2, max_size=4), st.integers(0, 2))
def test_several_answers_to_a_query_count_like_several_seeds(columns, never):
    together = np.stack([*columns, *[np.full(6, np.nan)] * never], axis=1)
    most = max(1, np.isfinite(together).sum(axis=1).max())
    assert design_effect([together]) == pytest.approx(min(design_effect(columns), most))
    assert wilson(together).estimate == pytest.approx(wilson(columns).estimate, nan_ok=True)


@given(st.lists(six_queries, min_size=1, max_size=4))
def test_a_design_effect_is_between_one_and_the_number_of_seeds(by_seed):
    assert 1 <= design_effect(by_seed) <= len(by_seed)


# By what the columns are


def test_proportions_on_different_queries_use_newcombe():
    one, other = np.array([1.0, 1.0, 0.0, np.nan, np.nan] * 4), np.array([np.nan, np.nan, 0.0, 1.0, 0.0] * 4)
    assert difference_interval([one], [other], seed=0) == newcombe(one, other)


def test_proportions_on_the_same_queries_use_tango():
    one, other = np.array([1.0, 0.0, 1.0, np.nan] * 5), np.array([1.0, 0.0, 0.0, np.nan] * 5)
    assert difference_interval([one], [other], seed=0) == tango(one, other)


def test_a_proportion_against_a_number_uses_wilson():
    column = np.array([1.0, 1.0, 0.0, np.nan])
    level = wilson(column)
    wanted = Interval(level.estimate - 0.5, level.low - 0.5, level.high - 0.5)
    assert difference_interval([column], 0.5, seed=0) == wanted


def test_a_mean_against_a_number_uses_the_bootstrap():
    column = np.linspace(0, 1, 20)
    level = bootstrap_mean([column], seed=0)
    wanted = Interval(level.estimate - 0.25, level.low - 0.25, level.high - 0.25)
    assert difference_interval([column], 0.25, seed=0) == wanted


def test_means_against_each_other_use_the_bootstrap():
    one, other = [np.linspace(0, 1, 20)], [np.linspace(0, 1, 20) ** 2]
    assert difference_interval(one, other, seed=3) == bootstrap_difference(one, other, seed=3)
