"""The t test that may be looked at: its evidence by numerical integration, and its critical values by inverting it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import nct, norm
from scipy.stats import t as student

from icl_claims.statistics.sequential import critical_t, log_e_value, p_value

errors = st.floats(1e-6, 0.5)


@pytest.mark.parametrize("replicates", [2, 3, 5, 16, 40])
@pytest.mark.parametrize("t", [-3.0, -0.5, 0.0, 1.0, 2.5, 5.0])
def test_the_e_value_is_a_ratio_of_densities_of_t_over_the_prior(replicates, t):
    """The noncentral t density, over standardised means that are half normal, against the central one."""

    def weighted(mean):
        return nct.pdf(t, replicates - 1, mean * math.sqrt(replicates)) * 2 * norm.pdf(mean)

    wanted = quad(weighted, 0, 9, limit=400)[0] / student.pdf(t, replicates - 1)
    assert math.exp(log_e_value(t, replicates)) == pytest.approx(wanted, rel=1e-6)


def test_a_bet_is_worth_one_where_the_mean_is_zero():
    """By quadrature over Student's distribution at one number of replicates, so a mean of 1 and no more."""
    for replicates in (4, 16):
        wealth = quad(lambda t, n=replicates: math.exp(log_e_value(t, n)) * student.pdf(t, n - 1), -60, 60, limit=400)
        assert wealth[0] == pytest.approx(1.0, abs=0.01)


@given(st.integers(2, 200), st.floats(-50, 50), st.floats(0.01, 10))
def test_a_larger_t_is_more_evidence(replicates, t, more):
    assert log_e_value(t + more, replicates) > log_e_value(t, replicates)


@given(st.integers(2, 300), errors)
def test_the_critical_t_inverts_the_p_value(replicates, error):
    found = critical_t(replicates, error)
    if math.isinf(found):
        assert p_value(1e8, replicates) > error
    else:
        assert p_value(found, replicates) == pytest.approx(error, rel=1e-6)


@given(st.integers(2, 200), errors)
def test_looking_at_will_costs_something(replicates, error):
    assert critical_t(replicates, error) > student.isf(error, replicates - 1)


def test_few_replicates_can_tell_nothing_whatever_they_are():
    assert [replicates for replicates in range(2, 9) if math.isinf(critical_t(replicates, 0.025))] == [2, 3, 4]


@pytest.mark.parametrize("replicates", [2, 10, 1000])
def test_extreme_statistics_have_a_p_value(replicates):
    assert p_value(-1e6, replicates) == 1.0
    assert 0.0 <= p_value(1e6, replicates) < 0.4


def test_the_bet_hardly_ever_reaches_twenty_where_the_mean_is_zero_or_less():
    """Looked at up to sixty times in 4000 sequences, at means of 0 and -.2 standard deviations."""
    numbers = np.random.default_rng(0).normal(size=(4000, 60))
    looks = np.arange(2, 61)
    reached = []
    for mean in (0.0, -0.2):
        shifted = numbers + mean
        totals, squares = shifted.cumsum(axis=1)[:, 1:], (shifted**2).cumsum(axis=1)[:, 1:]
        spread = np.sqrt((squares - totals**2 / looks) / (looks - 1))
        t = totals / np.sqrt(looks) / spread
        critical = np.array([critical_t(int(look), 0.05) for look in looks])
        reached.append((t > critical).any(axis=1).mean())
    assert reached[1] < reached[0] <= 0.05
