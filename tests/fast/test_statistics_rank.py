"""Kendall's tau of whole arrays against scipy's, row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kendalltau

from icl_claims.metrics.similarity import kendall_tau

few_values = st.integers(-3, 3).map(float)  # so that there are ties


@given(st.integers(2, 12).flatmap(lambda items: arrays(float, (2, 3, items), elements=few_values)))
def test_each_row_is_that_of_scipy(both):
    left, right = both
    wanted = [kendalltau(a, b).statistic for a, b in zip(left, right, strict=True)]
    np.testing.assert_allclose(kendall_tau(left, right), wanted, atol=1e-12)


def test_the_same_order_is_one_and_the_opposite_minus_one():
    values = np.random.default_rng(0).normal(size=(2, 4, 16))
    np.testing.assert_allclose(kendall_tau(values, np.exp(values)), np.ones((2, 4)))
    np.testing.assert_allclose(kendall_tau(values, -values), -np.ones((2, 4)))


def test_random_orders_have_nothing_in_common_on_average():
    left, right = np.random.default_rng(0).normal(size=(2, 2000, 16))
    assert kendall_tau(left, right).mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("row", [[1.0, 1.0, 1.0], [1.0, 2.0, np.nan]])
def test_items_that_have_no_order_have_no_correlation(row):
    assert np.isnan(kendall_tau(np.array(row), np.array([1.0, 2.0, 3.0])))
