"""Negative controls of the claim about Mahankali, Hashimoto and Ma 2024."""

from __future__ import annotations

import pytest
import torch

from icl_claims.theory import nonlinear_targets
from tests.quality.broken_attention import with_softmax
from tests.quality.controls import Control, verdict_under

TARGETS = "icl_claims.theory.nonlinear_targets"
ATTEND = "icl_claims.theory.linear_self_attention.attend_linearly"

best_rate, points = nonlinear_targets.best_rate, nonlinear_targets.points


def one_function(values):
    return values[None]


def rate_for_exact_targets(at, functions, *, examples, noise):
    return best_rate(at, functions, examples=examples, noise=0.0)


def rate_of_one_example(at, functions, *, examples, noise):
    return best_rate(at, functions, examples=1, noise=noise)


def stretched(direction):
    return points(direction) * torch.tensor([1.0, 2.0]).double()


CONTROLS = [
    Control("nonlinear-targets-same-step", "one function", {f"{TARGETS}.family": one_function}),
    Control("nonlinear-targets-same-step", "noise forgotten", {f"{TARGETS}.best_rate": rate_for_exact_targets}),
    Control("nonlinear-targets-same-step", "the rate for one example", {f"{TARGETS}.best_rate": rate_of_one_example}),
    Control("nonlinear-targets-same-step", "stretched inputs", {f"{TARGETS}.points": stretched}),
    Control("nonlinear-targets-same-step", "softmax left in", {ATTEND: with_softmax}),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_refutes_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"
