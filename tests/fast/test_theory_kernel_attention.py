"""The mathematics of attention by kernels, softmax and ReLU, by hand and by computations of another kind."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
import torch

from icl_claims.theory import (
    hopfield_energy,
    kernel_attention,
    linear_self_attention,
    normalised_descent,
    relu_heads,
    softmax_dual,
)

KERNELS = [kernel_attention.linear, kernel_attention.quadratic, kernel_attention.exponential, kernel_attention.gaussian]


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_is_symmetric_and_positive(kernel):
    x = normal(0, 6, 3)
    matrix = kernel(x, x)
    assert torch.allclose(matrix, matrix.mT)
    assert torch.linalg.eigvalsh(matrix)[0] > -1e-9 * matrix.max()


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_of_two_points_is_that_of_loops(kernel):
    x, z = normal(0, 4, 3), normal(1, 2, 3)
    by_loops = [[float(kernel(one[None], other[None])) for other in z] for one in x]
    assert np.allclose(kernel(x, z).numpy(), by_loops)


def test_a_layer_with_the_linear_kernel_is_that_of_von_oswald():
    x, y, queries, rate = normal(0, 5, 3), normal(1, 5), normal(2, 2, 3), 0.1
    layer = linear_self_attention.construct(torch.zeros(1, 3).double(), rate * len(x), len(x))
    demonstrations = linear_self_attention.demonstration_tokens(x, y[:, None])
    tokens = linear_self_attention.query_tokens(torch.zeros(1, 3).double(), queries)
    read = linear_self_attention.answers(linear_self_attention.stack([layer] * 3, demonstrations, tokens), 3)
    _, answers = kernel_attention.stack(kernel_attention.linear, x, y, queries, [rate] * 3)
    assert torch.allclose(answers, read[:, 0])


def test_the_process_takes_the_targets_at_the_inputs():
    x, y = normal(0, 4, 3), normal(1, 4)
    assert torch.allclose(kernel_attention.process_mean(kernel_attention.gaussian, x, y, x), y)


def test_the_expected_error_is_that_of_drawn_targets():
    x, query = normal(0, 3, 2), normal(1, 1, 2)
    together, process, kernel = torch.cat([query, x]), kernel_attention.gaussian, kernel_attention.quadratic
    root = torch.linalg.cholesky(process(together, together))
    drawn = normal(2, 100_000, 4) @ root.mT
    weights = torch.linalg.solve(kernel(x, x), kernel(x, query))[:, 0]
    squares = (drawn[:, 0] - drawn[:, 1:] @ weights).square()
    expected = float(kernel_attention.expected_error(process, kernel, x, query))
    assert abs(float(squares.mean()) - expected) < 4 * float(squares.std()) / len(squares) ** 0.5


def test_an_energy_by_hand():
    patterns, state = torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([2.0]).double()
    assert hopfield_energy.energy(patterns, state, 0.5).item() == pytest.approx(-2 * log(exp(1) + exp(-1)) + 2)


def test_for_patterns_of_both_signs_the_posted_energy_differs_by_its_sign_alone():
    patterns, state = torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([2.0]).double()
    energies = [
        energy(patterns, state, 0.5).item() for energy in (hopfield_energy.energy, hopfield_energy.posted_energy)
    ]
    assert energies[0] - 2 == pytest.approx(-(energies[1] - 2))


def test_a_state_near_a_pattern_retrieves_it():
    patterns = 5 * torch.eye(3).double()
    assert torch.allclose(hopfield_energy.retrieve(patterns, 0.9 * patterns[1], beta=2.0), patterns[1])


def test_a_normalised_step_is_as_long_as_the_mean_of_its_examples_at_most():
    x, labels, weights = normal(0, 6, 3), normal(1, 6).sign(), normal(2, 3)
    moved = normalised_descent.step(weights, x, labels, rate=2.0) - weights
    assert moved.norm() <= 2 * x.norm(dim=1).max()


def test_a_normalised_step_lowers_the_loss():
    x, labels, weights = normal(0, 6, 3), normal(1, 6).sign(), normal(2, 3)
    after = normalised_descent.step(weights, x, labels, rate=1e-3)
    losses = [float((-labels * (x @ each)).exp().sum()) for each in (weights, after)]
    assert losses[1] < losses[0]


def test_there_is_a_feature_for_every_power_of_every_coordinate():
    features = softmax_dual.exponential_features(torch.tensor([[2.0, 3.0]]).double(), degree=2)
    assert features.shape == (1, 9)
    assert features[0, -1].item() == pytest.approx(2**2 * 3**2 / 2)


@pytest.mark.parametrize("degree", [0, 2, 5, 10])
def test_what_features_leave_out_is_the_rest_of_the_series(degree):
    key, query = torch.tensor([[1.3], [-0.7]], dtype=torch.float64).split(1)
    found = softmax_dual.exponential_features(key, degree) @ softmax_dual.exponential_features(query, degree).mT
    product, factorials = 1.3 * -0.7, np.cumprod([1.0, *range(1, degree + 2)])
    assert float(found) == pytest.approx(sum(product**a / factorials[a] for a in range(degree + 1)))
    assert abs(float(found) - exp(product)) <= abs(product) ** (degree + 1) / factorials[degree + 1]


def test_no_head_and_no_demonstration_change_nothing():
    tokens, nothing = normal(0, 2, 3), torch.zeros(0, 3).double()
    assert torch.equal(relu_heads.attend([], tokens, tokens), tokens)
    heads = relu_heads.construct(normal(1, 1, 2), rate=1.0, demonstrations=0)
    assert torch.equal(relu_heads.attend(heads, nothing, tokens), tokens)


def test_two_relu_heads_are_a_linear_one():
    weights, demonstrations, tokens = normal(0, 1, 2), normal(1, 4, 3), normal(2, 2, 3)
    heads = relu_heads.construct(weights, rate=0.3, demonstrations=4)
    linear = linear_self_attention.construct(weights, 0.3, 4)
    expected = linear_self_attention.attend_linearly(linear, demonstrations, tokens)
    assert torch.allclose(relu_heads.attend(heads, demonstrations, tokens), expected)
