"""Intervals and tests against their closed forms, and the rule of tasks against every way the undecided could go."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import comb
from scipy.stats import norm

from icl_claims.claims import EVERY_TASK, Finding, TaskRule
from icl_claims.errors import ClaimError
from icl_claims.statistics.intervals import (
    UNDEFINED,
    Interval,
    bootstrap_difference,
    bootstrap_mean,
    is_binary,
    newcombe,
    wilson,
)
from icl_claims.statistics.tests import beats_chance, sign_test

Z = norm.ppf(0.975)
binary = st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=1, max_size=40).map(np.array)
counted_binary = binary.filter(lambda column: not np.isnan(column).all())


def closed_form(column):
    """Wilson 1927: the roots of (p - share)^2 = z^2 p (1 - p) / n."""
    counted = [value for value in column if not math.isnan(value)]
    n, share = len(counted), sum(counted) / len(counted)
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return share, centre - half, centre + half


@given(counted_binary)
def test_wilson_is_its_closed_form(column):
    got = wilson(column)
    assert (got.estimate, got.low, got.high) == pytest.approx(closed_form(column), abs=1e-9)


@given(counted_binary, counted_binary)
def test_newcombe_joins_two_wilson_intervals(left, right):
    (a, a_low, a_high), (b, b_low, b_high) = closed_form(left), closed_form(right)
    low = a - b - math.sqrt((a - a_low) ** 2 + (b_high - b) ** 2)
    high = a - b + math.sqrt((a_high - a) ** 2 + (b - b_low) ** 2)
    got = newcombe(left, right)
    assert (got.estimate, got.low, got.high) == pytest.approx((a - b, low, high), abs=1e-9)


def test_newcombe_gives_the_published_example():
    """Newcombe 1998, table II, example (a): 56 of 70 against 48 of 80 gives .0524 to .3339 (method 10)."""
    left, right = (np.repeat([1.0, 0.0], counts) for counts in ([56, 14], [48, 32]))
    got = newcombe(left, right)
    assert (got.low, got.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_intervals_of_nothing_are_undefined_and_exclude_nothing():
    nothing, something = np.full(3, np.nan), np.array([0.0, 1.0, 1.0])
    for interval in (
        wilson(nothing),
        newcombe(nothing, something),
        newcombe(something, nothing),
        bootstrap_mean([nothing], seed=0),
        bootstrap_mean([], seed=0),
        bootstrap_difference([something], [nothing], seed=0),
    ):
        assert interval is UNDEFINED
        assert not interval.excludes_below(0.0)
        assert not interval.excludes_above(0.0)


def test_a_column_that_hardly_counts_gives_no_bootstrap_interval():
    hardly = np.full(60, np.nan)
    hardly[0] = 1.0
    assert bootstrap_mean([hardly], seed=0) is UNDEFINED


@given(st.integers(0, 1000), st.integers(5, 60))
def test_a_bootstrap_is_repeated_by_its_seed(seed, n):
    column = np.random.default_rng(n).normal(size=n)
    assert bootstrap_mean([column], seed=seed) == bootstrap_mean([column], seed=seed)


def test_another_seed_gives_another_interval_of_the_same_estimate():
    column = np.random.default_rng(0).normal(size=40)
    one, other = (bootstrap_mean([column], seed=seed) for seed in (0, 1))
    assert one.estimate == other.estimate
    assert one != other


def test_the_bootstrap_of_a_large_normal_column_is_the_normal_interval():
    column = norm.ppf((np.arange(2000) + 0.5) / 2000) * 3 + 10
    got, half = bootstrap_mean([column], seed=0), Z * column.std() / math.sqrt(2000)
    assert got.estimate == pytest.approx(10)
    assert (got.low, got.high) == pytest.approx((10 - half, 10 + half), abs=0.06 * half)


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    samples = [generator.exponential(size=50) for _ in range(200)]
    covered = [interval.low <= 1 <= interval.high for interval in (bootstrap_mean([s], seed=0) for s in samples)]
    assert 0.88 <= np.mean(covered) <= 0.99


def test_a_bootstrap_is_paired_by_query():
    noise = np.random.default_rng(0).normal(size=50)
    paired = bootstrap_difference([noise + 0.1], [noise], seed=0)
    assert (paired.low, paired.high) == pytest.approx((0.1, 0.1))
    assert bootstrap_difference([noise + 0.1], [noise[::-1]], seed=0).low < 0


def test_every_seed_counts_alike_whatever_its_number_of_queries():
    got = bootstrap_mean([np.zeros(10), np.ones(90)], seed=0)
    assert (got.estimate, got.low, got.high) == pytest.approx((0.5, 0.5, 0.5))


def test_queries_that_do_not_count_leave_the_mean_alone():
    column = np.array([1.0, np.nan, 3.0, np.nan, 2.0] * 10)
    assert bootstrap_mean([column], seed=0).estimate == pytest.approx(2.0)


def test_columns_of_different_numbers_of_seeds_are_refused():
    with pytest.raises(ValueError, match=r"longer|shorter"):
        bootstrap_difference([np.zeros(3)], [], seed=0)


@pytest.mark.parametrize(("column", "binary"), [([0.0, 1.0, np.nan], True), ([0.5, 1.0], False), ([np.nan], True)])
def test_a_column_is_binary_when_all_that_counts_is_zero_or_one(column, binary):
    assert is_binary(np.array(column)) is binary


def test_an_interval_that_touches_a_value_does_not_exclude_it():
    assert not Interval(0.5, 0.0, 1.0).excludes_below(0.0)
    assert not Interval(-0.5, -1.0, 0.0).excludes_above(0.0)


# Tests


@pytest.mark.parametrize(
    ("holds", "tasks", "p"), [(6, 6, 1 / 64), (5, 6, 7 / 64), (0, 6, 1.0), (3, 3, 1 / 8), (0, 0, 1.0)]
)
def test_the_sign_test_is_exact(holds, tasks, p):
    assert sign_test(holds, tasks) == pytest.approx((p, 1 / 2**tasks))


@given(st.integers(1, 60), st.data(), st.sampled_from([0.2, 1 / 3, 0.5]))
def test_beating_chance_is_the_upper_tail_of_the_binomial(answered, data, chance):
    correct = data.draw(st.integers(0, answered))
    tail = sum(comb(answered, i) * chance**i * (1 - chance) ** (answered - i) for i in range(correct, answered + 1))
    assert beats_chance(correct, answered, chance) == pytest.approx(min(tail, 1), rel=1e-9)


# The rule of tasks

OUTCOMES = ("holds", "fails", "unclear", "absent")


def could_go(outcome):
    return (outcome,) if outcome in ("holds", "fails") else ("holds", "fails")


def brute_force(rule, outcomes, together):
    """The verdict by every way in which the undecided could have come out."""
    if all(outcome == "absent" for outcome in outcomes):
        return "not run"
    ends = {
        ways[:-1].count("holds") >= rule.at_least and (not rule.overall or ways[-1] == "holds")
        for ways in product(*map(could_go, (*outcomes, together)))
    }
    return "inconclusive" if len(ends) == 2 else "supported" if ends.pop() else "refuted"


@given(
    st.integers(1, 6),
    st.lists(st.sampled_from(OUTCOMES), min_size=6, max_size=6),
    st.booleans(),
    st.sampled_from(OUTCOMES),
)
def test_a_verdict_is_given_only_where_the_undecided_tasks_could_not_turn_it(at_least, outcomes, overall, together):
    rule = TaskRule(at_least, overall=overall)
    findings = [Finding(f"task {i}", outcome) for i, outcome in enumerate(outcomes)]
    everything = [*findings, Finding(EVERY_TASK, together)] if overall else findings
    assert rule.decide(everything).word == brute_force(rule, outcomes, together)


@given(st.integers(1, 6), st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=5))
def test_a_task_that_is_not_named_at_all_is_undecided(at_least, outcomes):
    rule, findings = TaskRule(at_least), [Finding(f"task {i}", outcome) for i, outcome in enumerate(outcomes)]
    assert rule.decide(findings).word == brute_force(
        rule, [*outcomes, *["unclear"] * (6 - len(outcomes))], "unclear"
    ) or (all(outcome == "absent" for outcome in outcomes) and rule.decide(findings).word == "not run")


@given(st.integers(1, 6), st.lists(st.sampled_from(OUTCOMES), min_size=6, max_size=6), st.randoms())
def test_the_order_of_tasks_does_not_matter(at_least, outcomes, random):
    findings = [Finding(f"task {i}", outcome) for i, outcome in enumerate(outcomes)]
    shuffled = random.sample(findings, 6)
    assert TaskRule(at_least).decide(findings).word == TaskRule(at_least).decide(shuffled).word


def test_a_claim_about_the_sum_is_undecided_where_the_sum_is_missing():
    findings = [Finding(f"task {i}", "holds") for i in range(6)]
    assert TaskRule(6, overall=True).decide(findings).word == "inconclusive"


def test_the_reason_names_the_undecided_tasks_and_quotes_the_sign_test():
    findings = [*(Finding(f"t{i}", "holds") for i in range(5)), Finding("cb", "unclear", note="no query counts")]
    why = TaskRule(5).decide(findings).why
    assert "Holds on 5 and fails on 0 of 6 tasks, and 5 are needed" in why
    assert "undecided: cb (no query counts)" in why
    assert "p = 0.031; 5 tasks allow no less than 0.031" in why


@pytest.mark.parametrize("at_least", [0, 7, -1])
def test_a_rule_that_asks_for_the_impossible_is_refused(at_least):
    with pytest.raises(ClaimError, match=f"expected 1 to 6, got self.at_least={at_least}"):
        TaskRule(at_least)
