"""Akyürek et al. 2023: the identities behind transformers that solve ridge regression, and why they should."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from icl_claims.claims import IN_EVERY_CASE, Decide, akyurek
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import bayes_ridge
from icl_claims.theory import example_by_example as ridge

from ..cases import SEEDS, learning_rates, normal

SIZES = st.integers(1, 6)
PENALTIES = st.sampled_from([0.1, 1.0, 10.0])


@akyurek.claim("sgd-step-ridge", where="section 3.2, theorem 1", rule=IN_EVERY_CASE, on="exact")
def test_the_step_is_the_gradient_of_the_penalised_loss(evidence: ExactEvidence, decide: Decide) -> None:
    """A gradient step for ridge regression on one example needs only products that a layer can compute: w - 2 eta (x
    w^T x - y x + lambda w).
    """

    @given(SIZES, SEEDS, learning_rates(), PENALTIES)
    def step_of_autograd_equals_products(size: int, seed: int, rate: float, penalty: float) -> None:
        x, (y,), start = normal(seed, size), normal(seed + 1, 1), normal(seed + 2, size)
        weights = torch.nn.Parameter(start.clone())
        ((weights @ x - y) ** 2 + penalty * weights.square().sum()).backward()
        torch.optim.SGD([weights], lr=rate).step()
        evidence.equal(ridge.step(start, x, y, rate, penalty), weights, "weights after a step")

    decide(evidence.every(step_of_autograd_equals_products))


@akyurek.claim("sherman-morrison", where="section 3.3, theorem 2", rule=IN_EVERY_CASE, on="exact")
def test_an_inverse_and_a_solution_are_updated_in_closed_form(evidence: ExactEvidence, decide: Decide) -> None:
    """The exact solution of ridge regression can be had one example at a time, because an inverse changes in closed
    form when a rank-one term is added.
    """

    @given(SIZES, SEEDS)
    def inverse_of_the_sum(size: int, seed: int) -> None:
        matrix = normal(seed, size, size) @ normal(seed, size, size).T + torch.eye(size, dtype=torch.float64)
        left, right = normal(seed + 1, 2, size) / 4
        updated = ridge.add_rank_one(torch.linalg.inv(matrix), left, right)
        evidence.equal(updated @ (matrix + torch.outer(left, right)), torch.eye(size), "(A + u v^T)^-1 (A + u v^T)")

    @given(SIZES, st.integers(0, 8), SEEDS, PENALTIES)
    def solution_of_all_examples(size: int, demonstrations: int, seed: int, penalty: float) -> None:
        inputs, targets = normal(seed, demonstrations, size), normal(seed + 1, demonstrations)
        penalised = torch.cat([inputs, penalty**0.5 * torch.eye(size, dtype=torch.float64)])
        solution = torch.linalg.lstsq(penalised, torch.cat([targets, torch.zeros(size)])[:, None]).solution[:, 0]
        evidence.equal(ridge.solve_by_examples(inputs, targets, penalty), solution, "the ridge solution")

    decide(evidence.every(inverse_of_the_sum, solution_of_all_examples))


@test_an_inverse_and_a_solution_are_updated_in_closed_form.claim.needs(
    "a positive penalty, where there are fewer examples than inputs"
)
def test_without_a_penalty_there_is_no_inverse_to_start_from(evidence: ExactEvidence, decide: Decide) -> None:
    """Without a penalty and with too few examples, the solution is not finite."""

    @given(st.integers(2, 6), SEEDS)
    def nothing_finite_comes_out(size: int, seed: int) -> None:
        solution = ridge.solve_by_examples(normal(seed, size - 1, size), normal(seed + 1, size - 1), penalty=0.0)
        evidence.check(not solution.isfinite().any(), "a solution that starts from I / 0 is not finite")

    decide(evidence.every(nothing_finite_comes_out))


@akyurek.claim("bayes-ridge", where="section 4.3, equation 18", rule=IN_EVERY_CASE, on="exact")
def test_ridge_regression_has_the_least_error(evidence: ExactEvidence, decide: Decide) -> None:
    """With weights from N(0, t^2 I) and noise of variance s^2, the posterior mean, which has the least expected squared
    error, is ridge regression with penalty s^2 / t^2; any other penalty has a larger error.
    """

    @given(SIZES, st.integers(1, 8), SEEDS, PENALTIES, PENALTIES)
    def the_posterior_mean_is_ridge(size: int, demonstrations: int, seed: int, prior: float, noise: float) -> None:
        inputs, targets = normal(seed, demonstrations, size), normal(seed + 1, demonstrations)
        expected = bayes_ridge.posterior_mean(inputs, targets, prior, noise)
        solution = ridge.solve_by_examples(inputs, targets, bayes_ridge.least_penalty(prior, noise))
        evidence.equal(solution, expected, "ridge regression, and the posterior mean", within=1e-7)

    @given(SIZES, st.integers(1, 8), SEEDS, PENALTIES, PENALTIES, st.sampled_from([0.01, 0.5, 0.9, 1.1, 2.0, 100.0]))
    def another_penalty_has_a_larger_error(
        size: int, demonstrations: int, seed: int, prior: float, noise: float, factor: float
    ) -> None:
        inputs, penalty = normal(seed, demonstrations, size), bayes_ridge.least_penalty(prior, noise)
        least, other = (bayes_ridge.ridge_error(inputs, each, prior, noise) for each in (penalty, factor * penalty))
        evidence.equal(least, bayes_ridge.least_error(inputs, prior, noise), "the least error")
        evidence.equal(other, error_of(inputs, factor * penalty, prior, noise), "the error of another penalty")
        evidence.check(bool(other > least), "another penalty has a larger error")

    decide(evidence.every(the_posterior_mean_is_ridge, another_penalty_has_a_larger_error))


@test_ridge_regression_has_the_least_error.claim.needs("weights from a Gaussian")
def test_of_two_tasks_ridge_regression_is_not_best(evidence: ExactEvidence, decide: Decide) -> None:
    """Where a weight is 1 or -1, with the mean and variance of N(0, 1), the posterior mean has a smaller error."""

    @given(st.floats(0.2, 2.0), st.sampled_from([0.1, 0.5, 1.0, 3.0]))
    def the_posterior_mean_is_better(x: float, noise: float) -> None:
        nodes, shares = (torch.as_tensor(each) for each in special.roots_hermitenorm(100))
        targets = x + noise**0.5 * nodes  # of the weight 1; the weight -1 has the same errors
        learned = torch.tanh(x * targets / noise)
        solved = x * targets / (x * x + noise)
        best, of_ridge = (float(shares @ (each - 1).square() / shares.sum()) for each in (learned, solved))
        evidence.check(best < of_ridge, "the posterior mean over two tasks has a smaller error than ridge regression")

    decide(evidence.every(the_posterior_mean_is_better))


def error_of(inputs: torch.Tensor, penalty: float, prior: float, noise: float) -> torch.Tensor:
    """E|w - A y|^2 of the linear estimate A = (X^T X + lambda I)^-1 X^T, from the covariance of its error."""
    identity = torch.eye(inputs.shape[1], dtype=torch.float64)
    estimate = torch.linalg.solve(inputs.T @ inputs + penalty * identity, inputs.T)
    missed = identity - estimate @ inputs
    error: torch.Tensor = (prior * missed @ missed.T + noise * estimate @ estimate.T).trace()
    return error
