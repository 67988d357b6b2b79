"""The mathematics of follow-up papers on cases that can be worked out by hand, and at its edges."""

from __future__ import annotations

from math import sqrt

import pytest
import torch

from icl_claims.theory import dual_form, example_by_example, in_context_regression, random_floor
from icl_claims.theory import linear_self_attention as attention


def column(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


def test_one_demonstration_and_one_input():
    # W0 = 1, x = 2, y = 5: the residual is -3, the step +6 eta, the answer to x = 1 is 1 + 6 eta.
    layer = attention.construct(column(1.0), rate=0.5, demonstrations=1)
    demonstrations = attention.demonstration_tokens(column(2.0), column(5.0))
    query = attention.query_tokens(column(1.0), column(1.0))
    assert attention.answers(attention.attend_linearly(layer, demonstrations, query), 1).item() == pytest.approx(4.0)


def test_no_demonstration_leaves_the_initial_answer():
    layer = attention.construct(column(3.0), rate=0.5, demonstrations=0)
    query = attention.query_tokens(column(3.0), column(2.0))
    nothing = torch.zeros(0, 2, dtype=torch.float64)
    assert attention.answers(attention.stack([layer, layer], nothing, query), 1).item() == pytest.approx(6.0)


def test_no_layer_changes_nothing():
    tokens = torch.ones(2, 3, dtype=torch.float64)
    assert torch.equal(attention.stack([], tokens, tokens), tokens)


@pytest.mark.parametrize("condition", [1.001, 1.5, 2.0, 2.0001, 3.0, 10.0, 1e6])
def test_the_curvature_window_lies_below_the_inverse_eigenvalue(condition):
    window = attention.curvature_window(1.0, condition) * condition
    assert 1 / 3 < window < 1
    assert window == pytest.approx(attention.curvature_window(5.0, 5 * condition) * 5 * condition)


@pytest.mark.parametrize("condition", [2.5, 4.0, 100.0])
def test_at_the_end_of_the_window_the_condition_number_stays(condition):
    # The highest point 4/(27 gamma) over the image of the largest eigenvalue is the condition number again.
    window = attention.curvature_window(1.0, condition)
    lowest = attention.corrected_spectrum(torch.tensor([condition], dtype=torch.float64), window).item()
    assert 4 / (27 * window) / lowest == pytest.approx(condition)


def test_a_layer_made_from_products_has_them():
    values, scores = torch.randn(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert all(map(torch.equal, attention.products(attention.from_products(values, scores)), (values, scores)))


def test_momentum_lets_the_first_gradient_act_later_too():
    assert dual_form.coefficients([1.0, 1.0, 1.0], 0.5).tolist() == pytest.approx([-1.75, -1.5, -1.0])
    assert dual_form.coefficients([0.1, 0.2]).tolist() == pytest.approx([-0.1, -0.2])
    assert dual_form.coefficients([1.0, 1.0], 0.5, nesterov=True).tolist() == pytest.approx([-1.75, -1.5])
    assert dual_form.coefficients([]).shape == (0,)


def test_ridge_on_one_example_with_one_input():
    x, y = column(2.0)[0], torch.tensor(3.0, dtype=torch.float64)
    assert example_by_example.solve_by_examples(x[None], y[None], penalty=2.0).item() == pytest.approx(6 / (4 + 2))
    assert example_by_example.step(column(1.0)[0], x, y, rate=0.1, penalty=2.0).item() == pytest.approx(
        1 - 0.2 * (4 - 6 + 2)
    )


def test_without_examples_ridge_gives_zero():
    nothing = torch.zeros(0, 2, dtype=torch.float64)
    assert example_by_example.solve_by_examples(nothing, nothing[:, 0], penalty=1.0).tolist() == [0.0, 0.0]


def test_a_swap_of_demonstrations_by_hand():
    # W = 0, x = 1 and 1, y = 0 and 1: after (0, 1) the weight is eta, after (1, 0) it is eta - eta^2.
    change = example_by_example.swap(column(0.0), column(1.0, 1.0), column(0.0, 1.0), rate=0.1)
    assert change.item() == pytest.approx(0.01)


def test_a_causal_layer_of_no_demonstration_changes_nothing():
    layer = attention.construct(column(1.0), rate=1.0, demonstrations=0)
    nothing, tokens = torch.zeros(0, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    assert torch.equal(example_by_example.causal_stack([layer, layer], nothing, tokens), tokens)


@pytest.mark.parametrize(
    ("relative_square", "floor"), [(0.1, 0.0233), (0.5, 0.0918), (1.0, 0.1464), (3.0, 0.25), (10.0, 0.3492)]
)
def test_the_floor_of_sim_aou(relative_square, floor):
    assert random_floor.sim_aou_floor(relative_square) == pytest.approx(floor, abs=5e-5)


def test_the_floor_lies_between_0_and_one_half():
    assert random_floor.sim_aou_floor(0.0) == 0.0
    assert random_floor.sim_aou_floor(1e12) == pytest.approx(0.5, abs=1e-6)


def test_the_floor_of_unequal_updates_is_the_geometric_mean():
    first, second = random_floor.sim_aou_floor(0.3), random_floor.sim_aou_floor(7.0)
    assert random_floor.sim_aou_floor(0.3, 7.0) == pytest.approx(sqrt(first * second))


def test_random_updates_have_the_size_asked_for():
    states = 3 * torch.ones(1, 200, 500)
    updates = random_floor.random_updates(states, relative_square=2.0, seed=0) - states
    assert (updates.square().sum(-1) / states.square().sum(-1)).mean().item() == pytest.approx(2.0, rel=0.02)


def test_small_updates_leave_direct_sim_am_near_1():
    assert random_floor.least_direct_sim_am(0.0, 0.0) == 1.0
    assert random_floor.least_direct_sim_am(0.1, 0.1) == pytest.approx(1 - 2 * 0.1**2)


def some_tasks(kind: in_context_regression.Inputs = "uniform") -> in_context_regression.Tasks:
    generator = torch.Generator().manual_seed(0)
    return in_context_regression.draw(2000, demonstrations=4, inputs=3, generator=generator, kind=kind)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_tasks_are_linear_and_noiseless(kind):
    tasks = some_tasks(kind)
    x, y = tasks.demonstrations[..., :-1], tasks.demonstrations[..., -1:]
    solved = torch.linalg.lstsq(x, y).solution[..., 0]
    # Four demonstrations of three inputs determine w, except where they are nearly dependent.
    errors = ((solved * tasks.queries).sum(-1) - tasks.answers).abs()
    assert errors.median() < 1e-9


def test_the_best_step_has_the_least_loss():
    tasks = some_tasks()
    rate = in_context_regression.best_step(tasks)
    losses = [
        float(in_context_regression.loss(in_context_regression.constructed(tasks, rate * factor), tasks))
        for factor in (0.99, 1.0, 1.01)
    ]
    assert min(losses) == losses[1]


def test_sensitivities_of_the_construction_are_its_weights():
    tasks = some_tasks()
    layer = in_context_regression.constructed(tasks, rate=1.0)
    x, y = tasks.demonstrations[..., :-1], tasks.demonstrations[..., -1]
    assert torch.allclose(in_context_regression.sensitivities(layer, tasks), (y[..., None] * x).mean(1))


def test_the_average_with_a_rescaled_self_is_the_layer():
    tasks = some_tasks()
    layer = in_context_regression.constructed(tasks, rate=0.7)
    values, scores = attention.products(layer)
    rescaled = attention.from_products(values / 5, scores * 5)
    average = in_context_regression.average(rescaled, layer, inputs=3)
    assert torch.allclose(in_context_regression.predict(average, tasks), in_context_regression.predict(layer, tasks))


def test_training_repeats_from_its_seed_and_lowers_the_loss():
    how = in_context_regression.Training(steps=150, tasks=64, rate=0.02)
    first, again = (
        in_context_regression.train(0, demonstrations=4, inputs=3, kind="uniform", how=how) for _ in range(2)
    )
    assert torch.equal(first.value, again.value)
    untrained = in_context_regression.constructed(some_tasks(), rate=0.0)
    assert in_context_regression.loss(first, some_tasks()) < in_context_regression.loss(untrained, some_tasks())
