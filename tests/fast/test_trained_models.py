"""The models that trained claims train, and what they are compared with, each against a second way to compute it."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.theory import curvature_schedule, learned_heads, moment_learners, repeated_layer, separate_heads
from icl_claims.theory import in_context_regression as regression
from icl_claims.theory import linear_self_attention as attention
from icl_claims.theory.training import Training, trained

SEEDS = st.integers(0, 2**16)
SHORT = Training(steps=3, tasks=4)


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Training


def test_gradient_descent_on_a_parabola():
    how = Training(steps=5, rate=0.5, optimiser="descent")
    seen = []
    end = trained(
        torch.tensor([8.0]), lambda w: 0.5 * w.square().sum(), how, lambda w, loss: seen.append((w.item(), loss))
    )
    assert seen == [(8.0, 32.0), (4.0, 8.0), (2.0, 2.0), (1.0, 0.5), (0.5, 0.125)]
    assert end.item() == 0.25


def test_training_leaves_its_start_and_the_number_of_threads():
    start, threads = torch.ones(2), torch.get_num_threads()
    trained(start, lambda w: w.square().sum(), SHORT)
    assert start.tolist() == [1.0, 1.0]
    assert torch.get_num_threads() == threads


def test_stacks_side_by_side_are_those_trained_alone():
    sizes = {"layers": 2, "demonstrations": 4, "inputs": 2, "how": SHORT}
    together = moment_learners.train_stacks([3, 5], **sizes)
    alone = [moment_learners.train_stacks([seed], **sizes)[0] for seed in (3, 5)]
    torch.testing.assert_close(together, torch.stack(alone))


@pytest.mark.parametrize("kind", separate_heads.PARAMETRISATIONS)
def test_heads_side_by_side_are_those_trained_alone(kind):
    spectrum = torch.tensor([2.0, 1.0], dtype=torch.float64)
    rest = {"spectrum": spectrum, "heads": 2, "demonstrations": 3, "how": Training(steps=3, optimiser="descent")}
    together = separate_heads.train([3, 5], kind, **rest)
    alone = [separate_heads.train([seed], kind, **rest)[:, 0] for seed in (3, 5)]
    torch.testing.assert_close(together, torch.stack(alone, dim=1))


# Learners that are linear in their targets


@given(SEEDS, st.integers(1, 3), st.integers(1, 4), st.integers(1, 6))
def test_a_stack_in_moments_is_the_stack_of_attention(seed, layers, inputs, demonstrations):
    x, y = normal(seed, demonstrations, inputs), normal(seed + 1, demonstrations, 1)
    weights = normal(seed + 2, layers, 2, inputs, inputs) / (2 * inputs)
    learner = moment_learners.stack((x.T @ x / demonstrations)[None], weights)[0]
    stack = [
        attention.from_products(
            torch.block_diag(spread, torch.eye(1, dtype=x.dtype)) / demonstrations,
            torch.block_diag(scores, torch.zeros(1, 1, dtype=x.dtype)),
        )
        for scores, spread in weights
    ]
    queries = attention.query_tokens(torch.zeros(1, inputs, dtype=x.dtype), torch.eye(inputs, dtype=x.dtype))
    answered = attention.answers(attention.stack(stack, attention.demonstration_tokens(x, y), queries), inputs)
    torch.testing.assert_close(learner @ x.T @ y / demonstrations, answered)


@given(SEEDS, st.integers(1, 4), st.lists(st.floats(0.1, 1.0), max_size=4))
def test_steps_of_descent_are_those_of_a_stack_and_of_autograd(seed, inputs, rates):
    x, y = normal(seed, inputs + 2, inputs), normal(seed + 1, inputs + 2)
    moments = x.T @ x / len(x)
    weights = torch.zeros(inputs, dtype=x.dtype)
    for rate in rates:
        weights = weights - rate * torch.func.grad(lambda w: (x @ w - y).square().sum() / (2 * len(x)))(weights)
    learner = moment_learners.descent(moments[None], rates)[0]
    torch.testing.assert_close(learner @ x.T @ y / len(x), weights)


@given(SEEDS, st.integers(1, 4), st.integers(0, 5))
def test_newtons_iteration_squares_what_is_left(seed, inputs, iterations):
    moments = moment_learners.draw_moments(
        1, demonstrations=inputs + 2, inputs=inputs, generator=torch.Generator().manual_seed(seed)
    )
    identity = torch.eye(inputs, dtype=moments.dtype)
    left, after = (identity - moments @ moment_learners.newton(moments, count) for count in (0, iterations))
    torch.testing.assert_close(after, torch.linalg.matrix_power(left, 2**iterations), atol=1e-8, rtol=1e-6)


def test_ridge_regression_is_least_squares_with_more_rows():
    x, y, penalty = normal(0, 5, 3), normal(1, 5, 1), 0.7
    rows = torch.cat([x, (5 * penalty) ** 0.5 * torch.eye(3, dtype=x.dtype)])
    wanted = torch.linalg.lstsq(rows, torch.cat([y, torch.zeros(3, 1, dtype=y.dtype)])).solution
    torch.testing.assert_close(moment_learners.ridge((x.T @ x / 5)[None], penalty)[0] @ x.T @ y / 5, wanted)


def test_loss_and_distance_are_means_over_tasks_and_noise():
    x, learner, other = normal(0, 6, 2), normal(1, 2, 2), normal(2, 2, 2)
    moments, deviation, draws = x.T @ x / 6, 0.8, 200_000
    w, noise = normal(3, draws, 2), deviation * normal(4, draws, 6)
    m = (w @ x.T + noise) @ x / 6
    noise_of_mean = deviation**2 / 6
    for wanted, sample in (
        (moment_learners.loss(learner, moments, noise_of_mean), (w - m @ learner.T).square().sum(-1)),
        (moment_learners.distance(learner, other, moments, noise_of_mean), (m @ (learner - other).T).square().sum(-1)),
    ):
        assert abs(float(sample.mean() - wanted)) < 4 * float(sample.std()) / draws**0.5


# A repeated layer


@given(SEEDS, st.integers(1, 3), st.integers(1, 4))
def test_the_model_in_effect_answers_as_the_stack_does(seed, repeats, inputs):
    layer = attention.LinearSelfAttention(*normal(seed, 4, inputs + 1, inputs + 1) / (inputs + 1))
    generator = torch.Generator().manual_seed(seed)
    tasks = repeated_layer.draw(3, demonstrations=4, inputs=inputs, generator=generator)
    queries = normal(seed + 1, 3, 2, inputs)
    tokens = attention.query_tokens(torch.zeros(1, inputs, dtype=queries.dtype), queries)
    answered = attention.answers(attention.stack([layer] * repeats, tasks.demonstrations, tokens), inputs)[..., 0]
    model = repeated_layer.model_in_effect(layer, repeats, tasks.demonstrations)
    torch.testing.assert_close((queries @ model[..., None])[..., 0], answered)


def test_the_best_gdpp_is_better_than_its_neighbours_and_than_descent():
    tasks = repeated_layer.draw(500, demonstrations=6, inputs=4, generator=torch.Generator().manual_seed(0))
    best = repeated_layer.best_plus_plus(tasks, 2)
    spread, rate = float(best.projection[0, 0]), float(best.projection[-1, -1])

    def left(spread, rate):
        layer = attention.construct_plus_plus(torch.zeros(1, 4, dtype=torch.float64), 6 * rate, -spread, 6)
        inputs = tasks.demonstrations[..., :-1]
        units = torch.eye(4, dtype=torch.float64)
        model = torch.stack(
            [
                repeated_layer.model_in_effect(layer, 2, attention.demonstration_tokens(inputs, inputs @ unit[:, None]))
                for unit in units
            ],
            dim=-1,
        )
        return float((model - units).square().sum((-2, -1)).mean())

    least = left(spread, rate)
    for factor in (0.97, 1.03):
        assert left(spread * factor, rate) > least
        assert left(spread, rate * factor) > least
    descent = repeated_layer.best_plus_plus(tasks, 2, corrects=False)
    assert descent.projection[0, 0] == 0
    assert left(0.0, float(descent.projection[-1, -1])) > least


# Softmax heads


def test_softmax_heads_by_loops():
    tasks = regression.draw(2, demonstrations=3, inputs=2, generator=torch.Generator().manual_seed(0))
    heads = normal(1, 2, 4, 3, 3)
    for task, got in enumerate(learned_heads.predict(heads, tasks)):
        query = torch.cat([tasks.queries[task], torch.zeros(1, dtype=torch.float64)])
        wanted = 0.0
        for key, asks, value, projection in heads:
            scores = torch.stack([(key @ token) @ (asks @ query) for token in tasks.demonstrations[task]])
            for weight, token in zip(scores.exp() / scores.exp().sum(), tasks.demonstrations[task], strict=True):
                wanted = wanted - weight * (projection @ value @ token)[-1]
        torch.testing.assert_close(got, wanted)


# Merged and separate heads


def test_the_loss_over_all_tasks_is_a_mean_over_tasks():
    spectrum, learned, draws = torch.tensor([1.5, 0.5], dtype=torch.float64), normal(0, 2, 2) / 2, 200_000
    x, w, query = (normal(seed, draws, *shape) for seed, shape in ((1, (5, 2)), (2, (2, 1)), (3, (2,))))
    x, query = x * spectrum.sqrt(), query * spectrum.sqrt()
    moments = x.mT @ (x @ w) / 5
    missed = (query[:, None] @ (w - learned @ moments))[:, 0, 0]
    sample = missed.square()
    wanted = separate_heads.loss(learned, spectrum, 5)
    assert abs(float(sample.mean() - wanted)) < 4 * float(sample.std()) / draws**0.5


@pytest.mark.parametrize("components", [0, 1, 2, 3])
def test_regression_on_components_is_the_best_on_them(components):
    spectrum = torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64)
    best = separate_heads.on_components(spectrum, 4, components)
    asked = best.clone().requires_grad_()
    separate_heads.loss(asked, spectrum, 4).backward()
    read = torch.arange(3) < components
    torch.testing.assert_close(asked.grad[read][:, read], torch.zeros(components, components, dtype=torch.float64))
    assert (best[~read] == 0).all()


def test_a_curve_without_a_rest_has_no_plateau():
    assert separate_heads.plateaus(np.exp(-np.arange(200) / 20)) == []
    assert separate_heads.plateaus(1 - 1 / (1 + np.exp(20.0 - np.arange(60) / 2))) == []


# Layers that converge quadratically


@given(st.floats(1.01, 1e6))
def test_a_layer_more_squares_the_error(condition):
    lefts = list(islice(curvature_schedule.errors(condition), 60))
    assert all(after <= before**2 + 1e-15 for before, after in pairwise(lefts))
    for error in (0.5, 1e-3, 1e-9):
        assert curvature_schedule.layers_needed(condition, error) <= curvature_schedule.most_layers(condition, error)
