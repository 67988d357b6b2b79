"""What data can tell: equivalence, the number of another run, and the difference that would have been found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from icl_claims.errors import ClaimError
from icl_claims.statistics.intervals import UNDEFINED, Interval, prediction_interval, seeds_interval
from icl_claims.statistics.significance import (
    equivalence,
    non_superiority,
    queries_needed,
    seeds_needed,
    smallest_detectable,
)

finite = st.floats(-1, 1)
intervals = st.tuples(finite, finite, finite).map(sorted).map(lambda three: Interval(three[1], three[0], three[2]))


# Equivalence


@given(intervals, st.floats(0.01, 1))
def test_equivalence_is_two_one_sided_tests(interval, margin):
    """Each test rejects "at or beyond this end of the margin" when the interval lies on the inner side of the end."""
    inside, outside = (
        interval.low > -margin and interval.high < margin,
        interval.low > margin or interval.high < -margin,
    )
    wanted = "equivalent" if inside else "different" if outside else "unclear"
    assert equivalence(interval, margin) == wanted
    assert equivalence(Interval(-interval.estimate, -interval.high, -interval.low), margin) == wanted


@given(intervals, st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_wider_margin_never_makes_equivalent_things_different(interval, one, other):
    order = ["different", "unclear", "equivalent"]
    narrow, wide = (order.index(equivalence(interval, margin)) for margin in sorted((one, other)))
    assert narrow <= wide


def test_an_undefined_interval_leaves_equivalence_unclear():
    assert equivalence(UNDEFINED, 0.1) == "unclear"


def test_a_margin_that_is_not_known_leaves_equivalence_unclear():
    assert equivalence(Interval(0.0, -0.1, 0.1), math.nan) == "unclear"


def test_nothing_is_equivalent_within_no_margin_at_all():
    assert equivalence(Interval(0.0, 0.0, 0.0), 0.0) == "unclear"


@pytest.mark.parametrize("decide", [equivalence, non_superiority])
def test_a_margin_below_zero_is_refused(decide):
    with pytest.raises(ClaimError, match=r"expected 0 or more, got margin=-0\.1"):
        decide(UNDEFINED, -0.1)


# Not higher


@given(intervals, st.floats(0.01, 1))
def test_what_is_higher_is_never_not_higher(interval, margin):
    """It is `above` exactly where a question about the higher one finds it so, whatever margin is allowed."""
    found = non_superiority(interval, margin)
    assert (found == "above") == (interval.low > 0)
    assert (found == "not above") == (interval.low <= 0 and interval.high < margin)
    assert interval.high >= 0 or found == "not above"


@pytest.mark.parametrize(("interval", "margin"), [(UNDEFINED, 0.1), (Interval(0.0, -0.1, 0.1), math.nan)])
def test_what_is_not_known_leaves_it_unclear(interval, margin):
    assert non_superiority(interval, margin) == "unclear"


# Another run


def runs(seeds=3):
    generator = np.random.default_rng(0)
    values = generator.normal(size=(seeds, 128)) + 0.1 * generator.normal(size=(seeds, 1))
    return list(values + 0.2 * generator.normal(size=128))


def test_only_the_seeds_means_matter():
    columns = runs()
    means = [column.mean() for column in columns]
    got, half = prediction_interval(columns), stats.t.ppf(0.975, 2) * np.std(means, ddof=1)
    assert got.estimate == pytest.approx(np.mean(means))
    assert (got.high - got.low) / 2 == pytest.approx(half * math.sqrt(1 + 1 / 3))


def test_one_seed_cannot_tell_where_another_run_ends_up():
    got = prediction_interval(runs(seeds=1))
    assert np.isnan([got.low, got.high]).all()
    assert np.isfinite(got.estimate)


def test_runs_that_count_no_query_predict_nothing():
    assert prediction_interval([np.full(5, np.nan)] * 2) is UNDEFINED
    assert prediction_interval([]) is UNDEFINED


def test_runs_that_never_vary_predict_themselves():
    got = prediction_interval([np.full(5, 0.25)] * 3)
    assert (got.estimate, got.low, got.high) == pytest.approx((0.25, 0.25, 0.25))


# What would have been found


@pytest.mark.parametrize("power", [0.5, 0.8, 0.9])
def test_the_detectable_difference_is_found_as_often_as_said(power):
    error = 0.03
    least = smallest_detectable(Interval(0.0, -1.959964 * error, 1.959964 * error), power=power)
    assert stats.norm.sf(1.959964 - least / error) == pytest.approx(power, abs=1e-4)


@given(intervals, st.integers(1, 2000))
def test_the_queries_needed_are_the_fewest_that_exclude_zero(interval, queries):
    assume(abs(interval.estimate) > 1e-3)
    needed = queries_needed(interval, queries)

    def scaled(n):
        shrunk = math.sqrt(queries / n) if n else math.inf
        bounds = (interval.estimate + (bound - interval.estimate) * shrunk for bound in (interval.low, interval.high))
        return Interval(interval.estimate, *bounds)

    def excludes(found):
        return found.excludes_below(0.0) or found.excludes_above(0.0)

    assert excludes(scaled(needed + 1e-6))
    assert needed == 1 or not excludes(scaled(needed - 1 - 1e-6))


@given(st.lists(st.integers(-100, 100), min_size=2, max_size=6))
def test_the_seeds_needed_exclude_zero(hundredths):
    differences = np.array(hundredths) / 100
    mean, spread, seeds = differences.mean(), differences.std(ddof=1), len(differences)
    assume(abs(mean) > 0.01)
    needed = seeds_needed(seeds_interval(list(differences)), seeds)
    errors = {n: stats.t.ppf(0.975, n - 1) * spread / math.sqrt(n) for n in (needed, needed - 1) if n > 1}
    assert errors[needed] < abs(mean) + 1e-9
    assert needed == 2 or errors[needed - 1] >= abs(mean) - 1e-9


@pytest.mark.parametrize("interval", [UNDEFINED, Interval(0.3, math.nan, math.nan), Interval(0.0, -0.1, 0.1)])
def test_no_number_of_queries_finds_no_difference(interval):
    assert queries_needed(interval, 40) is None
    assert seeds_needed(interval, 3) is None


def test_an_undefined_interval_has_no_detectable_difference():
    assert smallest_detectable(UNDEFINED) is None
