"""Negative controls of the claims of Sun et al. 2024 and Yang et al. 2025."""

from __future__ import annotations

import pytest

from icl_claims.theory import fast_weights
from tests.quality.controls import Control, verdict_under

DUAL = "icl_claims.theory.dual_form"
WEIGHTS = "icl_claims.theory.fast_weights"

hebbian, delta_rule, loss = fast_weights.hebbian, fast_weights.delta_rule, fast_weights.inner_product_loss


def with_softmax(values, keys, query):
    return values.T @ (keys @ query).softmax(0)


def averaged(values, keys, query):
    return values.T @ (keys @ query) / max(len(keys), 2)


def with_decay(weights, keys, values):
    return hebbian(0.9 * weights, keys, values)


def correcting(weights, keys, values):
    return delta_rule(weights, keys, values, keys.new_ones(len(keys)))


def squared_loss(weights, keys, values):
    return (keys @ weights.mT - values).square().sum() / 2


def adding(weights, keys, values, rates):
    return hebbian(weights, keys, rates[:, None] * values)


def errors_all_at_the_start(weights, keys, values, rates):
    return weights - (rates[:, None] * (keys @ weights.mT - values)).mT @ keys


CONTROLS = [
    Control("batch-step-is-linear-attention", "softmax left in", {f"{DUAL}.linear_attention": with_softmax}),
    Control("batch-step-is-linear-attention", "a mean over tokens", {f"{DUAL}.linear_attention": averaged}),
    Control("hebbian-not-error-driven", "weights that decay", {f"{WEIGHTS}.hebbian": with_decay}),
    Control("hebbian-not-error-driven", "the delta rule", {f"{WEIGHTS}.hebbian": correcting}),
    Control("hebbian-not-error-driven", "squared loss", {f"{WEIGHTS}.inner_product_loss": squared_loss}),
    Control("delta-rule-is-sgd", "values added, no error subtracted", {f"{WEIGHTS}.delta_rule": adding}),
    Control("delta-rule-is-sgd", "all errors at W_0", {f"{WEIGHTS}.delta_rule": errors_all_at_the_start}),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_turns_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == control.word
