"""The mathematics of learning from a sequence, of ridge regression and of tasks with a prior, by other computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate

from icl_claims.theory import autoregression, bayes_ridge, mesa_layer, prior_mean, task_pool


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_mesa_layer_of_one_token_by_hand():
    key, value, query = (torch.tensor([[number]]).double() for number in (2.0, 3.0, 5.0))
    assert mesa_layer.mesa_attention(key, value, query, penalty=2.0).item() == pytest.approx(5 * 6 / (4 + 2))


def test_a_mesa_layer_without_tokens_answers_nothing():
    nothing = torch.zeros(0, 2).double()
    assert mesa_layer.mesa_attention(nothing, nothing, nothing, penalty=1.0).shape == (0, 2)


def test_a_mesa_layer_does_not_look_ahead():
    keys, values, queries = normal(0, 5, 3), normal(1, 5, 2), normal(2, 5, 3)
    all_tokens = mesa_layer.mesa_attention(keys, values, queries, penalty=0.5)
    first = mesa_layer.mesa_attention(keys[:3], values[:3], queries[:3], penalty=0.5)
    assert torch.equal(all_tokens[:3], first)


def test_with_many_tokens_a_mesa_layer_finds_the_map():
    keys, truth = normal(0, 200, 3), normal(1, 2, 3)
    answers = mesa_layer.mesa_attention(keys, keys @ truth.mT, keys, penalty=1e-6)
    assert torch.allclose(answers[-1], truth @ keys[-1], atol=1e-5)


def test_predictions_by_loops():
    states = normal(0, 5, 2)
    for t, predicted in enumerate(autoregression.predictions(states, rate=0.3)):
        expected = sum(
            (0.3 * (states[i - 1] @ states[t]) * states[i] for i in range(1, t + 1)), torch.zeros(2).double()
        )
        assert torch.allclose(predicted, expected)


def test_of_no_states_nothing_is_predicted():
    assert autoregression.predictions(torch.zeros(0, 2).double(), rate=1.0).shape == (0, 2)


def test_the_error_of_ridge_is_that_of_drawn_tasks():
    x, prior, noise, penalty = normal(0, 4, 3), 2.0, 0.5, 1.7
    w, e = prior**0.5 * normal(1, 50_000, 3), noise**0.5 * normal(2, 50_000, 4)
    solved = torch.linalg.solve(x.mT @ x + penalty * torch.eye(3), x.mT @ (w @ x.mT + e).mT).mT
    squares = (solved - w).square().sum(1)
    expected = float(bayes_ridge.ridge_error(x, penalty, prior, noise))
    assert abs(float(squares.mean()) - expected) < 4 * float(squares.std()) / len(squares) ** 0.5


def test_the_least_penalty_has_the_least_error():
    x, prior, noise = normal(0, 4, 3), 2.0, 0.5
    best = bayes_ridge.least_penalty(prior, noise)
    errors = [float(bayes_ridge.ridge_error(x, best * factor, prior, noise)) for factor in (0.99, 1.0, 1.01)]
    assert min(errors) == errors[1] == pytest.approx(float(bayes_ridge.least_error(x, prior, noise)))


def test_a_posterior_mean_by_integration():
    x, y, prior, noise = np.array([0.7, -1.2]), np.array([0.3, -2.0]), 2.0, 0.5

    def weighed(power):
        def density(w):
            return w**power * np.exp(-(w**2) / (2 * prior) - ((y - w * x) ** 2).sum() / (2 * noise))

        return integrate.quad(density, -20, 20, epsabs=1e-12)[0]

    found = bayes_ridge.posterior_mean(torch.tensor(x)[:, None], torch.tensor(y), prior, noise)
    assert found.item() == pytest.approx(weighed(1) / weighed(0))


def test_dmmse_of_equal_fits_is_their_mean():
    pool = torch.tensor([[1.0, 2.0], [1.0, -4.0]]).double()
    inputs = torch.tensor([[1.0, 0.0]]).double()
    assert task_pool.dmmse(pool, inputs, torch.tensor([5.0]).double(), noise=1.0).tolist() == [1.0, -1.0]


def test_dmmse_of_several_pools_is_that_of_each():
    pools, inputs, targets = normal(0, 3, 5, 2), normal(1, 4, 2), normal(2, 4)
    each = torch.stack([task_pool.dmmse(pool, inputs, targets, noise=0.3) for pool in pools])
    assert torch.allclose(task_pool.dmmse(pools, inputs, targets, noise=0.3), each)


def test_the_distance_constant_by_integration():
    x, y, noise = np.array([0.7, -1.2]), np.array([0.3, -2.0]), 0.5
    mean = float(bayes_ridge.posterior_mean(torch.tensor(x)[:, None], torch.tensor(y), 1.0, noise))

    def expected(function):
        def density(w):
            likelihood = np.exp(-((y - w * x) ** 2).sum() / (2 * noise))
            return function(w, likelihood) * np.exp(-(w**2) / 2) / np.sqrt(2 * np.pi)

        return integrate.quad(density, -20, 20, epsabs=1e-12)[0]

    constant = expected(lambda w, likelihood: likelihood**2 * (w - mean) ** 2) / expected(lambda w, like: like) ** 2
    assert float(task_pool.distance_constant(torch.tensor(x)[:, None], torch.tensor(y), noise)) == pytest.approx(
        constant
    )


@pytest.mark.parametrize("mean", [0.0, 2.0])
def test_the_errors_of_attention_and_of_a_step_are_those_of_drawn_tasks(mean):
    n, tasks = 4, 200_000
    x, w = normal(0, tasks, n), mean + normal(1, tasks)
    squares, rate = x.square().mean(1), prior_mean.best_rate(n)
    for answers, expected in (
        (rate * squares * w, prior_mean.least_error_of_attention(mean, n)),
        (mean + rate * squares * (w - mean), prior_mean.least_error_of_a_step(n)),
    ):
        errors = (answers - w).square()
        assert abs(float(errors.mean()) - expected) < 4 * float(errors.std()) / tasks**0.5
