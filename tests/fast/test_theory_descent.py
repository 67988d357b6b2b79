"""The mathematics of what kind of descent it is, on hand-made cases and against slower ways to the same numbers."""

from __future__ import annotations

from itertools import pairwise
from math import tanh

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.theory import (
    causal_descent,
    damped_descent,
    fast_weights,
    gaussian_quadrature,
    newton_iteration,
    one_layer_optimum,
    softmax_heads,
    token_copying,
)
from icl_claims.theory import linear_self_attention as attention


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("iterations", range(5))
def test_coefficients_are_those_of_polynomials_multiplied_out(iterations):
    # In t = a S^2, M_k = S^-1 p_k(t) with p_0 = t and p_{k+1} = 2 p_k - p_k^2.
    polynomial = np.polynomial.Polynomial([0, 1])
    for _ in range(iterations):
        polynomial = 2 * polynomial - polynomial**2
    assert newton_iteration.coefficients(iterations) == [round(number) for number in polynomial.coef[1:]]


def test_newton_tends_to_the_inverse():
    matrix = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    found = newton_iteration.inverse(matrix, 0.1 * torch.eye(2, dtype=torch.float64), 12)
    assert torch.allclose(found @ matrix, torch.eye(2, dtype=torch.float64))


@given(st.integers(1, 5), st.integers(0, 2**16))
def test_online_coefficients_solve_the_triangle(demonstrations, seed):
    inputs, targets = normal(seed, demonstrations, 3), normal(seed + 1, demonstrations, 2)
    solved = torch.linalg.solve_triangular((inputs @ inputs.mT).tril(), targets, upper=False)
    found = causal_descent.online_coefficients(inputs, targets)
    assert torch.allclose(found, solved, rtol=1e-6, atol=1e-6 * float(solved.abs().max()))


def test_no_demonstration_leaves_nothing():
    nothing, targets = torch.zeros(0, 2), torch.zeros(0, 1)
    assert causal_descent.online_coefficients(nothing, targets).shape == (0, 1)
    assert causal_descent.coefficients_after(nothing, targets, rate=1.0, layers=3).shape == (0, 1)


def test_a_token_that_is_written_twice_is_read_twice_by_one_rule_only():
    key, value, nothing = torch.ones(2, 1), torch.ones(2, 1), torch.zeros(1, 1)
    assert fast_weights.hebbian(nothing, key, value).item() == 2.0
    assert fast_weights.delta_rule(nothing, key, value, torch.ones(2)).item() == 1.0


@pytest.mark.parametrize(("powers", "moment"), [((2, 0), 1), ((4, 0), 3), ((2, 2), 1), ((4, 4), 9), ((3, 2), 0)])
def test_a_grid_has_the_moments_of_normal_numbers(powers, moment):
    points, mass = gaussian_quadrature.grid(2)
    assert (mass * points[:, 0] ** powers[0] * points[:, 1] ** powers[1]).sum().item() == pytest.approx(moment)


def test_the_best_preconditioner_is_found_by_sampling():
    inputs = torch.diag(torch.tensor([2.0, 0.5], dtype=torch.float64))
    given_ = one_layer_optimum.Distribution(inputs, torch.eye(2, dtype=torch.float64), 3, noise=0.5)
    x = normal(0, 200_000, 3, 2) @ inputs.sqrt()
    squares = x.mT @ x / 3
    curvature = (squares @ squares).mean(0) + 0.5 / 3 * squares.mean(0)
    sampled = torch.linalg.solve(curvature, squares.mean(0))
    assert torch.allclose(one_layer_optimum.best_preconditioner(given_), sampled, atol=0.01)


def test_many_demonstrations_make_it_newtons_step():
    inputs = torch.diag(torch.tensor([2.0, 0.5], dtype=torch.float64))
    given_ = one_layer_optimum.Distribution(inputs, torch.eye(2, dtype=torch.float64), 10**9)
    assert torch.allclose(one_layer_optimum.best_preconditioner(given_), torch.linalg.inv(inputs))
    assert one_layer_optimum.least_loss(given_) == pytest.approx(0.0, abs=1e-8)


def test_heads_over_two_tokens_by_hand():
    keys = values = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    query = torch.ones(1, dtype=torch.float64)
    assert softmax_heads.head(keys, values, query, 0.3).item() == pytest.approx(tanh(0.3))
    assert softmax_heads.opposite_heads(keys, values, query, 0.3).item() == pytest.approx(tanh(0.3) / 0.3)
    assert softmax_heads.centred_moment(keys + 5, values + 7).item() == pytest.approx(1.0)
    assert softmax_heads.raw_moment(keys + 5, values + 7).item() == pytest.approx(36.0)


@pytest.mark.parametrize("bound", [softmax_heads.one_head_error, softmax_heads.opposite_heads_error])
def test_a_bound_is_quartered_by_half_the_scale(bound):
    keys, values, query = normal(0, 4, 2), normal(1, 4, 3), normal(2, 2)
    assert torch.allclose(bound(keys, values, query, 0.2), 4 * bound(keys, values, query, 0.1))


@pytest.mark.parametrize("tokens", [2, 4, 20])
def test_the_weight_of_the_next_token_is_that_of_attention(tokens):
    weights = token_copying.attention_weights(torch.eye(tokens, dtype=torch.float64), 1.5)
    assert weights[0, 1].item() == pytest.approx(token_copying.weight_of_the_next(tokens, 1.5))


def test_mean_losses_are_those_of_repeated_layers():
    inputs = 2 * torch.rand(3, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    rate, nothing = 0.8, torch.zeros(1, 2, dtype=torch.float64)
    found = damped_descent.mean_losses(damped_descent.spectrum(inputs), rate, 3)
    layer = attention.construct(nothing, rate, 4)
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)  # mean of x x^T: I, that of U(-1, 1) is I/3
    for repeats, expected in enumerate(found):
        losses = []
        for task in inputs:
            for weights in torch.eye(2, dtype=torch.float64):
                demonstrations = attention.demonstration_tokens(task, (task @ weights)[:, None])
                queries = attention.query_tokens(nothing, corners)
                answers = attention.answers(attention.stack([layer] * repeats, demonstrations, queries), 2)[:, 0]
                losses.append((answers - corners @ weights).square().mean() / 2 / 3)
        assert 2 * torch.stack(losses).mean().item() == pytest.approx(expected.item())


def test_the_best_rate_is_that_of_the_least_loss():
    spectra = normal(3, 50, 4).square()
    best = damped_descent.best_rate(spectra)
    losses = [damped_descent.mean_losses(spectra, best * part, 1)[1].item() for part in (0.9, 1.0, 1.1)]
    assert losses[1] == min(losses)


def test_losses_fall_below_the_critical_damping_and_rise_above():
    inputs = normal(4, 1, 6, 3)
    critical = damped_descent.critical_damping(inputs, rate=0.7).item()
    spectra = damped_descent.spectrum(inputs)
    below, above = (damped_descent.mean_losses(spectra, 0.7 * critical * part, 40) for part in (0.95, 1.05))
    assert all(after < before for before, after in pairwise(below.tolist()))
    assert above[-1] > above[0]
