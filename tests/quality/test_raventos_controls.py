"""Negative controls of the claims about what tasks have in common: Raventós, Akyürek's ridge, Zhang and Wu, Xie."""

from __future__ import annotations

import pytest
import torch

from icl_claims.theory import bayes_ridge, example_by_example, linear_self_attention, task_pool
from tests.quality.controls import Control, verdict_under

POOL = "icl_claims.theory.task_pool"
RIDGE = "icl_claims.theory.bayes_ridge"
EXAMPLES = "icl_claims.theory.example_by_example"
MEAN = "icl_claims.theory.prior_mean"
ATTENTION = "icl_claims.theory.linear_self_attention"

dmmse, solve, construct = task_pool.dmmse, example_by_example.solve_by_examples, linear_self_attention.construct
ridge_error, posterior_mean = bayes_ridge.ridge_error, bayes_ridge.posterior_mean


def noise_counted_twice(pool, inputs, targets, noise):
    return dmmse(pool, inputs, targets, 2 * noise)


def best_task_alone(pool, inputs, targets, noise):
    return dmmse(pool, inputs, targets, noise / 1e6)


def mean_of_the_pool(pool, inputs, targets, noise):
    return pool.mean(-2)


def variance_of_the_posterior(inputs, targets, noise):
    precision = inputs.mT @ inputs / noise + torch.eye(inputs.shape[1]).to(inputs)
    return torch.linalg.inv(precision).trace()


def twice_the_penalty(inputs, targets, penalty):
    return solve(inputs, targets, 2 * penalty)


def ratio_upside_down(prior, noise):
    return prior / noise


def noise_alone(prior, noise):
    return noise


def noise_without_shrinkage(inputs, penalty, prior, noise):
    return ridge_error(inputs, penalty, prior, noise) - ridge_error(inputs, penalty, prior, 0.0)


def posterior_of_twice_the_noise(inputs, targets, prior, noise):
    return posterior_mean(inputs, targets, prior, 2 * noise)


def without_initial_weights(weights, rate, demonstrations):
    return construct(torch.zeros_like(weights), rate, demonstrations)


CONTROLS = [
    Control("dmmse-is-the-posterior", "the noise counted twice", {f"{POOL}.dmmse": noise_counted_twice}),
    Control("dmmse-is-the-posterior", "the nearest task alone", {f"{POOL}.dmmse": best_task_alone}),
    Control("dmmse-approaches-ridge", "the mean of the pool", {f"{POOL}.dmmse": mean_of_the_pool}),
    Control(
        "dmmse-approaches-ridge",
        "the variance of the posterior in the place of the constant",
        {f"{POOL}.distance_constant": variance_of_the_posterior},
    ),
    Control(
        "dmmse-approaches-ridge", "ridge with twice the penalty", {f"{EXAMPLES}.solve_by_examples": twice_the_penalty}
    ),
    Control("bayes-ridge", "t^2 / s^2 as the penalty", {f"{RIDGE}.least_penalty": ratio_upside_down}),
    Control("bayes-ridge", "s^2 as the penalty", {f"{RIDGE}.least_penalty": noise_alone}),
    Control(
        "bayes-ridge", "the error without what the penalty takes", {f"{RIDGE}.ridge_error": noise_without_shrinkage}
    ),
    Control("bayes-ridge", "twice the noise", {f"{RIDGE}.posterior_mean": posterior_of_twice_the_noise}),
    Control(
        "prior-mean-breaks-gd",
        "no price for the mean",
        {f"{MEAN}.least_error_of_attention": lambda mean, demonstrations: 2 / (demonstrations + 2)},
    ),
    Control("prior-mean-breaks-gd", "a rate of 1", {f"{MEAN}.best_rate": lambda demonstrations: 1.0}),
    Control(
        "prior-mean-breaks-gd",
        "one demonstration too many",
        {f"{MEAN}.least_error_of_a_step": lambda demonstrations: 2 / (demonstrations + 3)},
    ),
    Control("initial-guess-restores-gd", "values without W0", {f"{ATTENTION}.construct": without_initial_weights}),
    Control("initial-guess-restores-gd", "a rate of 1", {f"{MEAN}.best_rate": lambda demonstrations: 1.0}),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_refutes_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"
