"""Score intervals of proportions against closed forms and published values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from icl_claims.statistics.proportions import Share, difference, difference_from

shares = st.integers(1, 200).flatmap(lambda of: st.builds(Share, st.integers(0, of), st.just(of)))
errors = st.floats(0.001, 0.2)


@given(shares, errors)
def test_wilson_is_that_of_scipy(share, error):
    wanted = binomtest(share.counted, share.of).proportion_ci(1 - 2 * error, method="wilson")
    assert share.wilson(error) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


@given(shares, errors)
def test_wilson_is_where_the_score_test_just_rejects(share, error):
    """Its bounds are the proportions p from which the one seen is z sqrt(p (1 - p) / n) away."""
    for bound in share.wilson(error):
        away = norm.isf(error) * math.sqrt(bound * (1 - bound) / share.of)
        assert abs(share.value - bound) == pytest.approx(away, abs=1e-7)


@pytest.mark.parametrize(
    ("left", "right", "low", "high"),
    [
        (Share(56, 70), Share(48, 80), 0.0524, 0.3339),
        (Share(9, 10), Share(3, 10), 0.1705, 0.8090),
        (Share(6, 7), Share(2, 7), 0.0582, 0.8062),
        (Share(5, 56), Share(0, 29), -0.0381, 0.1926),
        (Share(0, 10), Share(0, 20), -0.1611, 0.2775),
        (Share(0, 10), Share(0, 10), -0.2775, 0.2775),
        (Share(10, 10), Share(0, 20), 0.6791, 1.0),
        (Share(10, 10), Share(0, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_gives_the_published_examples(left, right, low, high):
    """Newcombe 1998, table II, method 10."""
    found = difference(left, right, 0.025, 0.025)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@given(shares, shares, errors, errors)
def test_a_difference_the_other_way_has_the_other_sign(left, right, below, above):
    found, turned = difference(left, right, below, above), difference(right, left, above, below)
    assert (found.estimate, found.low, found.high) == pytest.approx((-turned.estimate, -turned.high, -turned.low))


@given(shares, shares, errors)
def test_a_smaller_error_has_a_wider_interval(left, right, error):
    found, wider = difference(left, right, error, error), difference(left, right, error / 2, error / 2)
    assert wider.low <= found.low <= found.estimate <= found.high <= wider.high


@given(shares, st.floats(0, 1), errors, errors)
def test_a_difference_from_a_number_is_an_interval_that_is_moved(share, value, below, above):
    found = difference_from(share, value, below, above)
    wanted = share.value - value, share.wilson(below)[0] - value, share.wilson(above)[1] - value
    assert (found.estimate, found.low, found.high) == pytest.approx(wanted)
