"""Negative controls of the claims about Zhang, Frei and Bartlett 2024."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from icl_claims.theory import prompt_risk
from tests.quality.broken_attention import with_norm_before, with_softmax
from tests.quality.controls import Control, verdict_under

ATTEND = "icl_claims.theory.linear_self_attention.attend_linearly"
METRIC = "icl_claims.theory.prompt_risk.metric_of_training"
RISK = "icl_claims.theory.prompt_risk.risk"

metric, risk = prompt_risk.metric_of_training, prompt_risk.risk


def metric_without_the_trace(covariance, demonstrations):
    return (1 + 1 / demonstrations) * covariance


def metric_that_favours_an_input(covariance, demonstrations):
    one = torch.zeros_like(covariance)
    one[0] = 0.1
    return metric(covariance, demonstrations) + one + one.mT


def training_and_test_exchanged(law, *, trained_on, shown):
    return risk(law, trained_on=shown, shown=trained_on)


def without_a_bias(law, *, trained_on, shown):
    return dataclasses.replace(risk(law, trained_on=trained_on, shown=shown), bias=0.0)


def moment_about_0(law, *, trained_on, shown):
    mean = law.probabilities @ (law.inputs * law.targets[:, None])
    inverse = torch.linalg.inv(metric(law.covariance, trained_on))
    more = float(mean @ inverse @ law.covariance @ inverse @ mean) / shown
    found = risk(law, trained_on=trained_on, shown=shown)
    return dataclasses.replace(found, spread=found.spread + more)


CONTROLS = [
    Control("covariate-shift-squares", "tokens scaled to unit length", {ATTEND: with_norm_before}),
    Control("covariate-shift-squares", "softmax left in", {ATTEND: with_softmax}),
    Control("orthogonal-query-zero", "a metric that favours an input", {METRIC: metric_that_favours_an_input}),
    Control("orthogonal-query-zero", "softmax left in", {ATTEND: with_softmax}),
    Control("zhang-risk", "N and M exchanged", {RISK: training_and_test_exchanged}),
    Control("zhang-risk", "no bias, as of least squares", {RISK: without_a_bias}),
    Control("zhang-risk", "E[x y x^T y] in the place of the covariance", {RISK: moment_about_0}),
    Control("zhang-risk", "the trace missing from the metric", {METRIC: metric_without_the_trace}),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_refutes_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"
