"""Negative controls of the claims of Ding et al. 2024."""

from __future__ import annotations

import pytest
import torch

from icl_claims.theory import causal_descent, example_by_example, linear_self_attention
from tests.quality.controls import Control, verdict_under

CAUSAL = "icl_claims.theory.causal_descent"
STACK = "icl_claims.theory.example_by_example.causal_stack"
FULL = "icl_claims.theory.linear_self_attention.stack"

online, causal_stack = causal_descent.online_coefficients, example_by_example.causal_stack


def demonstrations_that_do_not_see_themselves(layers, demonstrations, tokens):
    for layer in layers:
        seen = [demonstrations[:1]]
        seen += [
            linear_self_attention.attend_linearly(layer, demonstrations[:j], demonstrations[j : j + 1])
            for j in range(1, len(demonstrations))
        ]
        tokens = linear_self_attention.attend_linearly(layer, demonstrations, tokens)
        demonstrations = torch.cat(seen)
    return tokens


def in_reverse(inputs, targets):
    return online(inputs.flip(0), targets.flip(0)).flip(0)


def unit_steps(inputs, targets):
    return online(inputs, targets) * inputs.square().sum(1, keepdim=True)


def least_squares(inputs, targets):
    return torch.linalg.pinv(inputs @ inputs.mT) @ targets


def whole_gram(inputs, targets, *, rate, layers):
    coefficients = torch.zeros_like(targets)
    for _ in range(layers):
        coefficients = coefficients + rate * (targets - inputs @ inputs.mT @ coefficients)
    return coefficients


CONTROLS = [
    Control("causal-is-online", "no mask", {STACK: linear_self_attention.stack}),
    Control(
        "causal-is-online",
        "demonstrations that do not see themselves",
        {STACK: demonstrations_that_do_not_see_themselves},
    ),
    Control("causal-is-online", "demonstrations in reverse", {f"{CAUSAL}.online_coefficients": in_reverse}),
    Control("causal-is-online", "steps of length 1", {f"{CAUSAL}.online_coefficients": unit_steps}),
    Control(
        "causal-is-online",
        "the stationary point of the whole matrix",
        {f"{CAUSAL}.online_coefficients": least_squares, f"{CAUSAL}.coefficients_after": whole_gram},
    ),
    Control("prefix-is-least-squares", "a causal mask", {FULL: causal_stack}),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_turns_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == control.word
