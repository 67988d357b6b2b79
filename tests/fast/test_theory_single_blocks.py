"""The mathematics of single layers and blocks on cases that can be worked out by hand, and against other ways."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from icl_claims.errors import DataError
from icl_claims.theory import (
    implicit_update,
    invariant_tasks,
    nonlinear_targets,
    preconditioned_step,
    prompt_risk,
    token_map,
)
from icl_claims.theory import linear_self_attention as attention


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# A context as an update


def test_the_rank_one_update_is_the_shortest_that_serves_its_query():
    weight, without, with_context = normal(0, 3, 4), normal(1, 4), normal(2, 4)
    update = implicit_update.rank_one_update(weight, without, with_context)
    shortest = np.outer((weight @ (with_context - without)).numpy(), np.linalg.pinv(without[:, None].numpy())[0])
    assert torch.allclose(update, torch.from_numpy(shortest))


def test_for_one_query_the_static_update_is_the_rank_one_update():
    weight, without, with_context = normal(0, 3, 4), normal(1, 4), normal(2, 4)
    static = implicit_update.static_update(weight, without[None], with_context[None])
    assert torch.allclose(static, implicit_update.rank_one_update(weight, without, with_context))


def test_no_update_answers_for_a_block_that_reads_nothing():
    with pytest.raises(DataError, match="other than 0"):
        implicit_update.rank_one_update(normal(0, 2, 2), torch.zeros(2).double(), normal(1, 2))


# A preconditioned step


def test_without_correction_and_preconditioner_it_is_the_step_of_von_oswald():
    rate, inputs, targets, queries = 0.3, normal(0, 5, 3), normal(1, 5, 1), normal(2, 2, 3)
    nothing = torch.zeros(1, 3, dtype=torch.float64)
    shown, asked = attention.demonstration_tokens(inputs, targets), attention.query_tokens(nothing, queries)
    step = attention.construct(nothing, rate, 5)
    same = preconditioned_step.construct(rate * torch.eye(3, dtype=torch.float64), 5)
    assert torch.allclose(attention.attend_linearly(same, shown, asked), attention.attend_linearly(step, shown, asked))


def test_a_corrected_step_by_hand():
    # x = 1, y = 2, A = 0.5, B = 0.25: x <- 1 - 0.25 * 0.5, y <- 2 - 0.5 * 2.
    layer = preconditioned_step.construct(torch.tensor([[0.5]]), 1, torch.tensor([[0.25]]))
    token = torch.tensor([[1.0, 2.0]])
    assert attention.attend_linearly(layer, token, token).tolist() == [[0.875, 1.0]]


# The risk on a prompt


def some_law() -> prompt_risk.FiniteLaw:
    return prompt_risk.FiniteLaw(normal(0, 6, 2), normal(1, 6), normal(2, 6).softmax(0))


def test_the_risk_is_that_of_simulated_prompts():
    law, shown, trained_on, times = some_law(), 4, 7, 200_000
    drawn = np.random.default_rng(0).choice(6, size=(times, shown + 1), p=law.probabilities.numpy())
    x, y = law.inputs.numpy()[drawn], law.targets.numpy()[drawn]
    covariance = np.einsum("a,ai,aj->ij", law.probabilities.numpy(), law.inputs.numpy(), law.inputs.numpy())
    metric = (1 + 1 / trained_on) * covariance + np.trace(covariance) / trained_on * np.eye(2)
    fitted = np.linalg.solve(metric, (x[:, :-1] * y[:, :-1, None]).mean(1).T).T
    errors = ((fitted * x[:, -1]).sum(1) - y[:, -1]) ** 2
    expected = prompt_risk.risk(law, trained_on=trained_on, shown=shown).total
    assert abs(errors.mean() - expected) < 4 * errors.std() / times**0.5


def test_the_parts_fall_as_the_numbers_of_examples():
    law = some_law()
    few, many = (prompt_risk.risk(law, trained_on=10**6, shown=shown) for shown in (1, 10))
    assert few.spread == pytest.approx(10 * many.spread)
    assert few.bias == pytest.approx(prompt_risk.risk(law, trained_on=10**7, shown=1).bias * 100, rel=1e-4)


# Laws without a direction


@pytest.mark.parametrize("size", [1, 2, 3])
def test_signed_permutations_are_a_group_of_rotations_and_reflections(size):
    turns = invariant_tasks.signed_permutations(size)
    there = {tuple(turn.flatten().tolist()) for turn in turns + 0.0}
    assert len(there) == 2**size * [1, 1, 2, 6][size]
    assert all(tuple((a @ b + 0.0).flatten().tolist()) in there for a in turns for b in turns)
    assert torch.equal(turns @ turns.mT, torch.eye(size, dtype=torch.float64).expand_as(turns))


def test_only_multiples_of_the_identity_commute_with_every_turn():
    turns, matrix = invariant_tasks.signed_permutations(3), normal(0, 3, 3)
    assert torch.allclose((turns @ matrix @ turns.mT).mean(0), matrix.trace() / 3 * torch.eye(3, dtype=torch.float64))


def test_targets_are_the_same_under_every_turn():
    root = torch.diag(torch.tensor([0.5, 2.0]).double())
    inputs, weights = invariant_tasks.linear_tasks(root, normal(0, 3, 2), normal(1, 2))
    assert torch.allclose((inputs @ weights[..., None])[..., 0], (normal(0, 3, 2) @ normal(1, 2)).expand(8, 3))


def test_the_loss_of_two_layers_is_that_of_the_recursion_written_out():
    inputs, weights = invariant_tasks.linear_tasks(torch.eye(2).double(), normal(0, 4, 2), normal(1, 2))
    steps, curvatures = list(normal(2, 2, 2, 2)), list(0.3 * normal(3, 2, 2, 2))
    errors = []
    for x_all, w in zip(inputs, weights, strict=True):
        x, y = x_all.clone(), x_all @ w
        y[-1] = 0.0
        for a, b in zip(steps, curvatures, strict=True):
            squares = sum(torch.outer(one, one) for one in x[:-1])
            crossed = sum(one * of for one, of in zip(x[:-1], y[:-1], strict=True))
            x, y = x - x @ a.mT @ squares @ b.mT / 3, y - x @ a.mT @ crossed / 3
        errors.append((-y[-1] - x_all[-1] @ w) ** 2)
    loss = invariant_tasks.population_loss(steps, curvatures, inputs, weights)
    assert loss.item() == pytest.approx(float(torch.stack(errors).mean()))


# Nonlinear targets


def test_turned_functions_have_turned_values():
    at = nonlinear_targets.points(0.4)

    def target(x: torch.Tensor) -> torch.Tensor:
        return x[..., 0] ** 2 * x[..., 1] + x[..., 0]

    functions = nonlinear_targets.family(target(at))
    turns = invariant_tasks.signed_permutations(2)
    assert torch.allclose(functions, target(torch.einsum("gij,pi->gpj", turns, at)))


def test_the_best_rate_is_that_of_least_squares_over_all_prompts():
    at, functions = nonlinear_targets.points(0.4), nonlinear_targets.family(normal(0, 8))
    prompts = nonlinear_targets.prompts(at, functions, examples=2, noise=0.5)
    sums = (prompts.inputs * prompts.targets[..., None]).sum(1)
    # The query is independent of the examples and white, so least squares over all prompts finds the same rate.
    predicted = (sums * prompts.queries).sum(1)
    rate = nonlinear_targets.best_rate(at, functions, examples=2, noise=0.5)
    assert rate == pytest.approx(float(predicted @ prompts.answers / (predicted @ predicted)))


# The map of a stack


def test_the_map_of_a_construction_is_its_gradient_step():
    inputs, targets, rate = normal(0, 5, 3), normal(1, 5), 0.4
    layer = attention.construct(torch.zeros(1, 3, dtype=torch.float64), rate, 5)
    found = token_map.after([layer], attention.demonstration_tokens(inputs, targets[:, None]))
    assert torch.allclose(found.weights, rate / 5 * inputs.mT @ targets)
    assert torch.equal(found.mixing, torch.eye(3, dtype=torch.float64))
    assert found.reading.tolist() == [0.0, 0.0, 0.0]
    assert found.kept.item() == 1.0


def test_the_map_of_two_steps_has_the_weights_of_two_steps():
    inputs, targets, rate = normal(0, 5, 3), normal(1, 5), 0.4
    layer = attention.construct(torch.zeros(1, 3, dtype=torch.float64), rate, 5)
    found = token_map.after([layer, layer], attention.demonstration_tokens(inputs, targets[:, None]))
    weights = torch.zeros(3, dtype=torch.float64)
    for _ in range(2):
        weights = weights - rate / 5 * inputs.mT @ (inputs @ weights - targets)
    assert torch.allclose(found.weights, weights)


def test_no_layer_is_the_identity():
    tokens = normal(0, 4, 3)
    assert torch.equal(token_map.after([], tokens)(tokens), tokens)
