"""Negative controls of the claims of follow-up papers, and of the one about von Oswald et al. in section 6."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from icl_claims.metrics import similarity
from icl_claims.theory import dual_form, in_context_regression, random_floor
from icl_claims.theory import linear_self_attention as attention
from tests.quality.controls import Control, computed, verdict_under

ATTENTION = "icl_claims.theory.linear_self_attention"
REGRESSION = "icl_claims.theory.in_context_regression"
HISTORY = "icl_claims.theory.dual_form"
EXAMPLES = "icl_claims.theory.example_by_example"
FLOOR = "icl_claims.theory.random_floor"
SIMILARITY = "icl_claims.metrics.similarity"

construct, construct_plus_plus, attend = attention.construct, attention.construct_plus_plus, attention.attend_linearly
products, sim_aou, sim_am = attention.products, similarity.sim_aou, similarity.sim_am
draw_updates, coefficients, train = random_floor.random_updates, dual_form.coefficients, in_context_regression.train


def swapped_keys_and_values(weights, rate, demonstrations):
    layer = construct(weights, rate, demonstrations)
    return dataclasses.replace(layer, key=layer.value, value=layer.key)


def no_mean_over_demonstrations(weights, rate, demonstrations):
    return construct(weights, rate * max(demonstrations, 1), demonstrations)


def ascending(weights, rate, demonstrations):
    return construct(weights, -rate, demonstrations)


def without_initial_weights(weights, rate, demonstrations):
    return construct(torch.zeros_like(weights), rate, demonstrations)


def with_softmax(layer, demonstrations, tokens):
    scores = (tokens @ layer.query.mT) @ (demonstrations @ layer.key.mT).mT
    return tokens + scores.softmax(dim=-1) @ (demonstrations @ layer.value.mT) @ layer.projection.mT


def with_normalised_scores(layer, demonstrations, tokens):
    return tokens + (attend(layer, demonstrations, tokens) - tokens) / max(len(demonstrations), 1)


def with_positions(layer, demonstrations, tokens):
    places = torch.arange(len(demonstrations), dtype=demonstrations.dtype)[:, None]
    return attend(layer, demonstrations + 0.1 * places, tokens)


def demonstrations_left_as_they_were(layers, demonstrations, tokens):
    for layer in layers:
        tokens = attend(layer, demonstrations, tokens)
    return tokens


def curvature_added(weights, rate, curvature, demonstrations):
    return construct_plus_plus(weights, rate, -curvature, demonstrations)


def spectrum_of_one_factor(spectrum, curvature):
    return spectrum - curvature * spectrum**2


def window_up_to_the_largest_eigenvalue(smallest, largest):
    return 2 / largest


def values_without_projection(layer):
    return layer.value, products(layer)[1]


def keys_and_queries_transposed(layer):
    return products(layer)[0], products(layer)[1].mT


def barely_trained(seed, **how):
    return train(seed, **{**how, "how": in_context_regression.Training(steps=20, tasks=32)})


def half_a_step(seed, *, demonstrations, inputs, kind, how):
    tasks = in_context_regression.draw(
        1000, demonstrations=demonstrations, inputs=inputs, generator=torch.Generator().manual_seed(seed), kind=kind
    )
    return in_context_regression.constructed(tasks, in_context_regression.best_step(tasks) / 2)


def unpenalised_step(weights, x, y, rate, penalty):
    return weights - 2 * rate * (x * (weights @ x) - y * x)


def step_without_the_factor_2(weights, x, y, rate, penalty):
    return weights - rate * (x * (weights @ x) - y * x + penalty * weights)


def update_without_denominator(inverse, left, right):
    return inverse - torch.outer(inverse @ left, right @ inverse)


def update_with_roles_swapped(inverse, left, right):
    return inverse - torch.outer(inverse @ right, left @ inverse) / (1 + right @ inverse @ left)


def momentum_forgotten(rates, momentum=0.0, *, nesterov=False):
    return coefficients(rates)


def momentum_in_reverse(rates, momentum=0.0, *, nesterov=False):
    return coefficients(rates, momentum, nesterov=nesterov).flip(0)


def keys_and_values_swapped(initial, errors, inputs, coefficients, query):
    return query @ initial.mT + query @ errors.mT @ (coefficients[:, None] * inputs)


def history_with_softmax(initial, errors, inputs, coefficients, query):
    return query @ initial.mT + (query @ inputs.mT).softmax(-1) @ (coefficients[:, None] * errors)


def descent_one_by_one(weights, inputs, targets, *, rate, steps, loss):
    for _ in range(steps):
        for x, y in zip(inputs, targets, strict=True):
            gradient = torch.func.grad(lambda w, x=x, y=y: loss((x @ w.mT)[None], y[None]))
            weights = weights - rate * gradient(weights)
    return weights


def swap_that_changes_nothing(weights, inputs, targets, rate):
    return torch.zeros_like(weights)


def twice_the_floor(first, second=None):
    return 1 - random_floor.shrinkage(first)


def no_floor(first, second=None):
    return 0.0


def not_normalised(in_context, other, zero_shot, *, normalised=True):
    return sim_aou.values(in_context, other, zero_shot, normalised=False)


def correlated_updates(states, relative_square, seed):
    return draw_updates(states, relative_square, 0)


def wider_bound(first, second):
    return 1 - (first + second)


def direct_instead_of_update(in_context, other, zero_shot):
    return sim_am.values(in_context, other)


def update_scaled_away(in_context, other):
    return sim_am.values(in_context - in_context.mean(-1, keepdim=True), other - other.mean(-1, keepdim=True))


CONTROLS = [
    Control("vonoswald-step", "keys and values swapped", {f"{ATTENTION}.construct": swapped_keys_and_values}),
    Control("vonoswald-step", "1/N missing", {f"{ATTENTION}.construct": no_mean_over_demonstrations}),
    Control("vonoswald-step", "softmax left in", {f"{ATTENTION}.attend_linearly": with_softmax}),
    Control("construction", "the sign of the step", {f"{ATTENTION}.construct": ascending}),
    Control("construction", "W0 missing from the values", {f"{ATTENTION}.construct": without_initial_weights}),
    Control("construction", "1/N missing", {f"{ATTENTION}.construct": no_mean_over_demonstrations}),
    Control(
        "layers-are-steps",
        "demonstrations not updated between layers",
        {f"{ATTENTION}.stack": demonstrations_left_as_they_were},
    ),
    Control("layers-are-steps", "1/N counted twice", {f"{ATTENTION}.attend_linearly": with_normalised_scores}),
    Control(
        "gd-plus-plus",
        "the sign of the curvature correction",
        {f"{ATTENTION}.construct_plus_plus": curvature_added},
    ),
    Control(
        "gd-plus-plus",
        "the correction applied to one factor of X X^T only",
        {f"{ATTENTION}.corrected_spectrum": spectrum_of_one_factor},
    ),
    Control(
        "gd-plus-plus",
        "a window twice as wide as the largest eigenvalue allows",
        {f"{ATTENTION}.curvature_window": window_up_to_the_largest_eigenvalue},
    ),
    Control(
        "only-products-matter",
        "P left out of its product",
        {f"{ATTENTION}.products": values_without_projection},
    ),
    Control(
        "only-products-matter",
        "keys and queries swapped",
        {f"{ATTENTION}.products": keys_and_queries_transposed},
    ),
    Control("only-products-matter", "softmax left in", {f"{ATTENTION}.attend_linearly": with_softmax}),
    Control(
        "trained-layer-is-gd",
        "a layer after 20 steps of training",
        {f"{REGRESSION}.train": barely_trained},
    ),
    Control(
        "trained-layer-is-gd",
        "a step half as long as the best one",
        {f"{REGRESSION}.train": half_a_step},
    ),
    Control("sgd-step-ridge", "the penalty missing", {f"{EXAMPLES}.step": unpenalised_step}),
    Control("sgd-step-ridge", "the factor 2 missing", {f"{EXAMPLES}.step": step_without_the_factor_2}),
    Control("sherman-morrison", "no denominator", {f"{EXAMPLES}.add_rank_one": update_without_denominator}),
    Control("sherman-morrison", "u and v swapped", {f"{EXAMPLES}.add_rank_one": update_with_roles_swapped}),
    Control("t-step-dual-form", "momentum forgotten", {f"{HISTORY}.coefficients": momentum_forgotten}),
    Control(
        "t-step-dual-form",
        "the steps in reverse order",
        {f"{HISTORY}.coefficients": momentum_in_reverse},
    ),
    Control(
        "t-step-dual-form",
        "error signals as keys and inputs as values",
        {f"{HISTORY}.attend_over_history": keys_and_values_swapped},
    ),
    Control(
        "t-step-dual-form",
        "softmax left in",
        {f"{HISTORY}.attend_over_history": history_with_softmax},
    ),
    Control("order-invariance", "positions added to demonstrations", {f"{ATTENTION}.attend_linearly": with_positions}),
    Control(
        "order-invariance",
        "full-batch descent that takes one demonstration after the other",
        {f"{EXAMPLES}.full_batch_descent": descent_one_by_one},
    ),
    Control(
        "order-invariance",
        "an epoch that does not depend on the order",
        {f"{EXAMPLES}.swap": swap_that_changes_nothing},
    ),
    Control("random-floor", "the factor 1/2 missing", {f"{FLOOR}.sim_aou_floor": twice_the_floor}),
    Control("random-floor", "a floor of 0", {f"{FLOOR}.sim_aou_floor": no_floor}),
    Control(
        "random-floor", "states not scaled to unit length", {f"{SIMILARITY}.sim_aou": computed(sim_aou, not_normalised)}
    ),
    Control(
        "random-floor",
        "one random update used twice",
        {f"{FLOOR}.random_updates": correlated_updates},
    ),
    Control(
        "am-dominated-by-zsl",
        "a bound that is linear in the size",
        {f"{FLOOR}.least_direct_sim_am": wider_bound},
    ),
    Control(
        "am-dominated-by-zsl",
        "the direct score taken for that of updates",
        {f"{SIMILARITY}.sim_am_update": computed(sim_am, direct_instead_of_update)},
    ),
    Control(
        "am-dominated-by-zsl",
        "maps centred before they are compared",
        {f"{SIMILARITY}.sim_am": computed(sim_am, update_scaled_away)},
    ),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_refutes_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"
