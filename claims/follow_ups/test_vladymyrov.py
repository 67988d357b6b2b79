"""Vladymyrov et al. 2024: GD++ with its own numbers in every layer is a method of second order."""

from __future__ import annotations

from itertools import islice

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, vladymyrov
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import curvature_schedule as schedule
from icl_claims.theory import linear_self_attention as attention

from .strategies import Spectrum, spectra

CONDITIONS = st.floats(10.0, 1e6)
ERRORS = st.sampled_from([1e-2, 1e-3, 1e-4, 1e-6])
ROUNDING = 1e-6  # a thousandfold condition number times the rounding of a dozen layers


@vladymyrov.claim("gdpp-is-second-order", where="section 5.1, theorem 5.1", rule=IN_EVERY_CASE, on="exact")
def test_the_error_is_squared_by_one_layer_more(evidence: ExactEvidence, decide: Decide) -> None:
    """With eta and gamma chosen for each layer, GD++ solves least squares to an error e, relative to the solution, in
    O(log kappa + log log 1/e) layers, where kappa is the condition number: log kappa / log(25/16) + log2(1 + log2(1/e))
    layers are enough, and one layer more squares e. Gradient descent needs twice as many steps for that.
    """

    @given(spectra(), st.integers(0, 14))
    def layers_leave_the_error_of_the_smallest_eigenvalue(case: Spectrum, count: int) -> None:
        condition = float(case.eigenvalues[-1] / case.eigenvalues[0])
        expected = next(islice(schedule.errors(condition), count, None))
        left = torch.linalg.matrix_norm(left_by(layers(case, count), case), ord=2)
        evidence.check(bool((left - expected).abs() <= ROUNDING), "the largest part of the error that layers leave")

    @given(spectra(), ERRORS)
    def one_layer_more_squares_the_error(case: Spectrum, error: float) -> None:
        condition = float(case.eigenvalues[-1] / case.eigenvalues[0])
        needed = schedule.layers_needed(condition, error)
        left = torch.linalg.matrix_norm(left_by(layers(case, needed + 1), case), ord=2)
        evidence.check(bool(left <= error**2 + ROUNDING), "the error after one layer more")

    @given(spectra(), st.integers(0, 14))
    def steps_leave_their_part(case: Spectrum, count: int) -> None:
        smallest, largest = float(case.eigenvalues[0]), float(case.eigenvalues[-1])
        expected = ((largest - smallest) / (largest + smallest)) ** count
        step = attention.construct_plus_plus(nothing(case), 2 * rows(case) / (smallest + largest), 0.0, rows(case))
        left = torch.linalg.matrix_norm(left_by([step] * count, case), ord=2)
        evidence.check(bool((left - expected).abs() <= ROUNDING), "the largest part of the error that steps leave")

    @given(CONDITIONS, ERRORS)
    def layers_grow_with_the_logarithm(condition: float, error: float) -> None:
        needed, more = (schedule.layers_needed(condition, goal) for goal in (error, error**2))
        evidence.check(needed <= schedule.most_layers(condition, error), "as many layers as are enough")
        evidence.check(more <= needed + 1, "one layer for twice the digits")
        steps, twice = (schedule.steps_needed(condition, goal) for goal in (error, error**2))
        evidence.check(twice >= 2 * steps - 1, "gradient descent takes twice the steps for twice the digits")
        evidence.check(steps > needed, "gradient descent takes more steps than GD++ layers")

    decide(
        evidence.every(
            layers_leave_the_error_of_the_smallest_eigenvalue,
            one_layer_more_squares_the_error,
            steps_leave_their_part,
            layers_grow_with_the_logarithm,
        )
    )


@test_the_error_is_squared_by_one_layer_more.claim.needs("eta and gamma of its own in every layer")
def test_with_the_same_numbers_in_every_layer_it_is_of_first_order(evidence: ExactEvidence, decide: Decide) -> None:
    """When the first layer is repeated, the error is not squared: its eta and gamma are too small for what is left."""

    @given(spectra())
    def the_repeated_layer_is_behind(case: Spectrum) -> None:
        condition = float(case.eigenvalues[-1] / case.eigenvalues[0])
        needed = schedule.layers_needed(condition, 1e-4)
        left = torch.linalg.matrix_norm(left_by(layers(case, 1) * needed, case), ord=2)
        evidence.check(bool(left > 1e-4), "the error that a repeated layer leaves")

    decide(evidence.every(the_repeated_layer_is_behind))


def layers(case: Spectrum, count: int) -> list[attention.LinearSelfAttention]:
    """So many layers of GD++ for a spectrum, each with its own eta and gamma."""
    return list(schedule.layers(nothing(case), float(case.eigenvalues[-1]), rows(case), count))


def left_by(stack: list[attention.LinearSelfAttention], case: Spectrum) -> Tensor:
    """What layers leave of each of as many tasks as inputs, w = e_i, from 0: W - I."""
    inputs, units = case.inputs(), torch.eye(len(case.eigenvalues), dtype=torch.float64)
    tokens, queries = attention.demonstration_tokens(inputs, inputs), attention.query_tokens(nothing(case), units)
    return attention.answers(attention.stack(stack, tokens, queries), len(units)) - units


def nothing(case: Spectrum) -> Tensor:
    """W0 = 0, with as many outputs as inputs."""
    return torch.zeros(len(case.eigenvalues), len(case.eigenvalues), dtype=torch.float64)


def rows(case: Spectrum) -> int:
    """The number of demonstrations."""
    return len(case.inputs())
