"""Negative controls of the claims of Fu et al. 2024."""

from __future__ import annotations

from math import comb

import pytest

from icl_claims.theory import newton_iteration
from tests.quality.controls import Control, verdict_under

NEWTON = "icl_claims.theory.newton_iteration"

inverse, coefficients = newton_iteration.inverse, newton_iteration.coefficients


def one_iteration_fewer(gram, start, iterations):
    return inverse(gram, start, max(iterations - 1, 0))


def richardson(gram, start, iterations):
    found = start
    for _ in range(iterations):
        found = found + start - start @ gram @ found
    return found


def first_square_of_twice_the_start(gram, start, iterations):
    if not iterations:
        return start
    return inverse(gram, 2 * start - (2 * start) @ gram @ (2 * start), iterations - 1)


def without_signs(iterations):
    return [abs(number) for number in coefficients(iterations)]


def of_half_as_many_steps(iterations):
    return [(-1) ** (j + 1) * comb(2 ** max(iterations - 1, 0), j) for j in range(1, 2**iterations + 1)]


CONTROLS = [
    Control("newton-is-gd-squared", "one iteration fewer", {f"{NEWTON}.inverse": one_iteration_fewer}),
    Control(
        "newton-is-gd-squared",
        "an iteration that adds to its error instead of squaring it",
        {f"{NEWTON}.inverse": richardson},
    ),
    Control("newton-moments", "all numbers positive", {f"{NEWTON}.coefficients": without_signs}),
    Control("newton-moments", "binomials of half as many steps", {f"{NEWTON}.coefficients": of_half_as_many_steps}),
    Control(
        "newton-moments-as-printed",
        "a first iteration that subtracts (2 a S) S (2 a S), under which the printed numbers hold",
        {f"{NEWTON}.inverse": first_square_of_twice_the_start},
        word="supported",
    ),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_turns_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == control.word
