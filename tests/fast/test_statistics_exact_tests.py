"""Exact tests against enumeration, and Holm's correction against its definition."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.statistics.significance import holm, sign_flip_test, sign_test

p_values = st.lists(st.floats(0, 1), max_size=8).map(lambda values: dict(zip("hgfedcba", values, strict=False)))


@pytest.mark.parametrize(
    ("holds", "tasks", "p"), [(6, 6, 1 / 64), (5, 6, 7 / 64), (0, 6, 1.0), (3, 3, 1 / 8), (0, 0, 1.0)]
)
def test_the_sign_test_is_exact(holds, tasks, p):
    assert sign_test(holds, tasks) == pytest.approx((p, 1 / 2**tasks))


@given(st.lists(st.integers(-20, 20).filter(bool), min_size=1, max_size=8))
def test_the_sign_flip_test_counts_flips(differences):
    """Whole numbers, so that equal sums are equal."""
    flips = [sum(np.multiply(signs, differences)) for signs in product((1, -1), repeat=len(differences))]
    wanted = np.mean([flipped >= sum(differences) for flipped in flips]), 0.5 ** len(differences)
    assert sign_flip_test([value / 100 for value in differences]) == pytest.approx(wanted)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8))
def test_differences_all_above_zero_reach_the_smallest_p(differences):
    p, smallest = sign_flip_test(differences)
    assert p == smallest


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.integers(0, 5))
def test_one_difference_turned_over_raises_p(differences, place):
    turned = [-d if i == place % len(differences) else d for i, d in enumerate(differences)]
    assert sign_flip_test(turned)[0] > sign_flip_test(differences)[0]


def test_ties_do_not_count_in_the_sign_flip_test():
    assert sign_flip_test([0.1, 0.0, 0.2, float("nan")]) == sign_flip_test([0.1, 0.2]) == (0.25, 0.25)
    assert sign_flip_test([0.0]) == sign_flip_test([]) == (1.0, 1.0)


def rejected_step_by_step(family, alpha):
    """Holm's procedure: from the smallest p on, until one is above alpha over the number of those left."""
    rejected, left = set(), sorted(family, key=family.get)
    while left and family[left[0]] <= alpha / len(left):
        rejected.add(left.pop(0))
    return rejected


@given(p_values, st.floats(0.001, 0.999))
def test_holms_p_values_reject_what_his_procedure_rejects(family, alpha):
    adjusted = holm(family)
    assert list(adjusted) == list(family)
    clear = all(abs(p - alpha) > 1e-9 for p in adjusted.values())
    assert not clear or {name for name, p in adjusted.items() if p <= alpha} == rejected_step_by_step(family, alpha)


@given(p_values.filter(bool))
def test_holm_keeps_the_order_and_lowers_nothing(family):
    adjusted = holm(family)
    ranked = sorted(family, key=family.get)
    assert all(family[name] <= adjusted[name] <= 1 for name in family)
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(ranked))
    assert adjusted[ranked[0]] == pytest.approx(min(1, family[ranked[0]] * len(family)))


def test_a_family_of_one_is_left_alone():
    assert holm({"only": 0.03}) == {"only": 0.03}
    assert holm({}) == {}
