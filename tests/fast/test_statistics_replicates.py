"""What replicates say about a mean, against scipy's t test, the jackknife, and what must not depend on anything."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from icl_claims.evidence.numbers import judge
from icl_claims.methods import Finetuning
from icl_claims.metrics import sim_aou
from icl_claims.questions import Near, NotAbove
from icl_claims.statistics.error_rates import Errors
from icl_claims.statistics.estimates import Estimate
from icl_claims.statistics.replicates import Replicates, mean_over

IT_IS_HIGHER = sim_aou(Finetuning()) > 0.0

numbers = st.lists(st.integers(-1000, 1000).map(lambda n: n / 100), min_size=2, max_size=30).map(np.array)
spread_out = numbers.filter(lambda values: float(np.ptp(values)) > 0.1)
estimates = st.builds(
    Estimate,
    st.floats(-10, 10),
    st.floats(0.01, 3),
    st.integers(2, 60),
    st.booleans(),
    st.sampled_from([0.0, 0.01, 0.3, 2.0]),
    st.integers(2, 60),
)


def replicates(values, looked_at=True):
    draws = tuple((seed, 0) for seed in range(len(values)))
    return Replicates(draws, np.array(values, dtype=float), np.zeros(len(values)), looked_at)


def sides(found):
    return found.left.tolist(), found.right.tolist()


@given(spread_out, st.floats(0.001, 0.4))
def test_a_number_fixed_beforehand_has_the_interval_and_the_p_value_of_student(values, error):
    found = replicates(values, looked_at=False).contrast()
    wanted = ttest_1samp(values, 0.0).confidence_interval(1 - 2 * error)
    got = found.interval(error, error)
    assert (got.low, got.high) == pytest.approx((wanted.low, wanted.high), rel=1e-7, abs=1e-9)
    if found.value > 0:
        wanted = ttest_1samp(values, 0.0, alternative="greater").pvalue
        assert found.p_above() == pytest.approx(wanted, rel=1e-6)
    assert found.p_below() == found.turned.p_above()


@given(estimates, st.floats(1e-5, 0.4))
def test_a_p_value_falls_to_an_error_exactly_where_the_interval_excludes_zero(found, error):
    above, below = found.p_above(), found.p_below()
    assume(all(abs(p - error) > 1e-8 * error for p in (above, below)))
    interval = found.interval(error, error)
    assert (above <= error) == interval.excludes_below(0.0)
    assert (below <= error) == interval.excludes_above(0.0)


@given(estimates, st.floats(1e-5, 0.2), st.floats(1e-5, 0.2))
def test_each_side_has_its_own_error(found, below, above):
    got = found.interval(below, above)
    assert (got.low, got.high) == (found.interval(below, below).low, found.interval(above, above).high)


@given(spread_out.filter(lambda values: len(values) > 4), st.floats(1e-4, 0.2), st.floats(1e-4, 0.2))
def test_the_word_and_the_interval_that_is_shown_agree(values, holds, fails):
    judged = judge(IT_IS_HIGHER, replicates(values), Errors(holds, fails))
    assume(abs(judged.holds - holds) > 1e-8 * holds)
    assume(abs(judged.fails - fails) > 1e-8 * fails)
    assert (judged.holds <= holds) == judged.interval.excludes_below(0.0)
    assert (judged.fails <= fails) == judged.interval.excludes_above(0.0)


def test_squares_of_half_widths_of_draws_and_of_queries_add_up():
    alone, queries = Estimate(1.0, 0.3, 12), Estimate(1.0, 0.2, 16)
    both = Estimate(1.0, 0.3, 12, True, 0.2, 16)
    assert both.half_width(0.025) == pytest.approx(math.hypot(alone.half_width(0.025), queries.half_width(0.025)))


@pytest.mark.parametrize("values", [[], [0.3], [0.3, 0.3, 0.3], [0.1 + 0.2, 0.3, 0.3], [np.nan, np.nan]])
def test_one_number_or_equal_ones_say_nothing_of_others(values):
    found = replicates(values).contrast()
    assert not found.known
    assert (found.p_above(), found.p_below(), found.needed(), found.detectable()) == (None,) * 4
    assert np.isnan([found.interval().low, found.interval().high]).all()
    assert judge(IT_IS_HIGHER, replicates(values), Errors()).holds is None


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(2, 40))
def test_equal_numbers_are_as_improbable_as_chance_can_make_them(value, furthest, many):
    """Of all that is 0 on average and never below -b, that which is x or -b is x most often: b of b + x times."""
    found = Estimate(value, 0.0, many, bounds=(-furthest, 1.0))
    assert found.p_above() == pytest.approx((furthest / (furthest + value)) ** many)
    assert found.turned.p_below() == found.p_above()
    assert found.p_below() is None


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(2, 10), st.sampled_from([1.0, -1.0]))
def test_of_equal_numbers_as_many_as_are_needed_tell_and_one_fewer_does_not(value, furthest, many, sign):
    found = Estimate(sign * value, 0.0, many, bounds=(-furthest, furthest))
    needed = found.needed(0.01)

    def p_of(replicates):
        one = replace(found, replicates=replicates)
        return one.p_above() if sign > 0 else one.p_below()

    assert p_of(needed) <= 0.01 * (1 + 1e-9)
    assert needed < 3 or p_of(needed - 1) > 0.01 * (1 - 1e-9)


def test_a_task_on_which_nothing_counts_is_undecided_whatever_is_asked():
    nothing = Replicates.of_columns([(0, 0)], [np.full(3, np.nan)], [np.full(3, np.nan)])
    quantity = sim_aou(Finetuning())
    for question in (IT_IS_HIGHER, Near(quantity, 1.0, within=0.1), NotAbove(quantity, 1.0, within=0.1)):
        judged = judge(question, nothing, Errors())
        assert (judged.holds, judged.fails) == (None, None)


# How many replicates, and how large a difference


@given(estimates)
def test_as_many_replicates_as_are_needed_tell_and_one_fewer_does_not(found):
    needed = found.needed()
    assume(needed is not None)

    def told(many):
        error = found.error * math.sqrt(found.replicates / many)
        return abs(found.value) > replace(found, error=error, replicates=many).half_width(0.025)

    assert told(needed)
    assert needed == 2 or not told(needed - 1)


@given(estimates, st.floats(1.1, 5))
def test_a_larger_difference_needs_fewer_replicates(found, times):
    needed, of_larger = (one.needed() or math.inf for one in (found, replace(found, value=found.value * times)))
    assert of_larger <= needed


@given(estimates, st.floats(1.1, 5), st.floats(0.1, 0.9))
def test_a_larger_spread_and_a_smaller_error_ask_for_larger_differences(found, times, part):
    least = found.detectable(0.025)
    assume(least is not None)
    assert replace(found, error=found.error * times).detectable(0.025) > least
    stricter = found.detectable(0.025 * part)
    assert stricter is None or stricter > least


def test_no_number_of_draws_tells_what_the_queries_leave_open():
    assert Estimate(0.1, 0.1, 10, True, 0.2, 16).needed() is None
    assert Estimate(0.1, 0.1, 10).needed() is not None


# Columns of queries


counted = st.lists(st.sampled_from([0.0, 0.5, 1.0, np.nan]), min_size=6, max_size=6).map(np.array)


@given(st.lists(st.tuples(counted, counted), min_size=3, max_size=12))
def test_sides_are_ratios_of_sums(pairs):
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    assume(not any(np.isnan(column).all() for column in (*left, *right)))
    found = Replicates.of_columns([(i, 0) for i in range(len(pairs))], left, right)
    assert found.means == pytest.approx((np.nanmean(left), np.nanmean(right)))


def test_linearised_numbers_err_as_the_jackknife_does():
    """The standard error of a ratio of sums over forty draws, each left out in turn."""
    generator = np.random.default_rng(0)
    left, right = (generator.random((40, 16)) < generator.beta(2, 2, (40, 1)) for _ in range(2))
    left, right = (np.where(generator.random((40, 16)) < 0.3, np.nan, side) for side in (left, right))
    found = Replicates.of_columns([(i, 0) for i in range(40)], list(left), list(right)).contrast()
    without = [np.nanmean(np.delete(left, i, 0)) - np.nanmean(np.delete(right, i, 0)) for i in range(40)]
    jackknife = math.sqrt(39 * np.var(without))
    assert found.error == pytest.approx(jackknife, rel=0.03)


def test_draws_in_which_nothing_counts_are_left_out():
    nothing, one = np.full(3, np.nan), np.array([1.0, 0.0, np.nan])
    found = Replicates.of_columns([(0, 0), (1, 0), (2, 0)], [one, nothing, one], [one, nothing, nothing])
    assert found.draws == ((0, 0), (2, 0))
    assert Replicates.of_columns([(0, 0)], [nothing], 0.5).draws == ()
    one_side = Replicates.of_columns([(0, 0), (1, 0)], [one, one], [nothing, nothing])
    assert np.isnan(one_side.contrast().value)


def test_queries_that_every_draw_asks_have_an_error_of_their_own():
    """That of the means over draws, query by query."""
    left, right = np.random.default_rng(0).normal(size=(2, 7, 16))
    found = Replicates.of_columns([(i, 0) for i in range(7)], list(left), list(right), same_queries=True).contrast()
    of_queries = (left - right).mean(axis=0)
    assert found.query_error == pytest.approx(of_queries.std(ddof=1) / 4)
    assert found.queries == 16
    own = Replicates.of_columns([(i, 0) for i in range(7)], list(left), list(right)).contrast()
    assert (own.query_error, own.error) == (0.0, pytest.approx(found.error))


def test_a_contrast_weighs_both_sides():
    left, right = np.random.default_rng(0).normal(size=(2, 9))
    found = Replicates(tuple((i, 0) for i in range(9)), left, right).contrast(1.0, -1.25)
    assert found.value == pytest.approx((left - 1.25 * right).mean())
    assert found.error == pytest.approx((left - 1.25 * right).std(ddof=1) / 3)


# Nulls and tasks


def test_a_difference_and_that_of_a_null_are_paired_by_draw():
    mine = Replicates(((1, 0), (2, 0), (3, 1)), np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.5, 1.0]))
    null = Replicates(((3, 1), (9, 0), (1, 0)), np.array([0.3, 9.0, 0.1]), np.array([0.1, 0.0, 0.0]))
    found = mine.beyond(null)
    assert found.draws == ((1, 0), (3, 1))
    assert found.left.tolist() == pytest.approx([1.0, 2.0])
    assert found.right.tolist() == pytest.approx([0.1, 0.2])


def test_a_mean_over_tasks_is_their_mean_replicate_by_replicate():
    left, right = np.random.default_rng(0).normal(size=(2, 3, 8))
    draws = tuple((i, 0) for i in range(8))
    found = mean_over([Replicates(draws, *sides) for sides in zip(left, right, strict=True)])
    assert sides(found) == (pytest.approx(left.mean(axis=0)), pytest.approx(right.mean(axis=0)))
    wanted = (left - right).mean(axis=0).std(ddof=1) / math.sqrt(8)
    assert found.contrast().error == pytest.approx(wanted)


def test_tasks_that_are_one_task_say_no_more_than_it():
    one = replicates(np.random.default_rng(0).normal(size=8))
    together, alone = mean_over([one] * 6).contrast(), one.contrast()
    assert (together.value, together.error) == pytest.approx((alone.value, alone.error))


def test_errors_of_the_queries_of_several_tasks_add_up_by_their_squares():
    columns = np.random.default_rng(0).normal(size=(2, 5, 16))
    draws = [(i, 0) for i in range(5)]
    tasks = [Replicates.of_columns(draws, list(of_task), 0.0, same_queries=True) for of_task in columns]
    errors = [task.contrast().query_error for task in tasks]
    assert mean_over(tasks).contrast().query_error == pytest.approx(math.hypot(*errors) / 2)


def test_one_more_replicate_is_expected_where_student_says():
    values = np.random.default_rng(0).normal(size=10)
    found = replicates(values).next_one(0.025)
    assert (found.low + found.high) / 2 == pytest.approx(values.mean())
    assert found.high - found.estimate == pytest.approx(2.2622 * values.std(ddof=1) * math.sqrt(1.1), rel=1e-4)
    assert np.isnan(replicates([1.0]).next_one().low)
