"""Negative controls of the claims of Ahn et al. 2023."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from icl_claims.theory import gaussian_quadrature, one_layer_optimum
from tests.quality.controls import Control, verdict_under

OPTIMUM = "icl_claims.theory.one_layer_optimum"
GRID = "icl_claims.theory.gaussian_quadrature.grid"

best, least, grid = one_layer_optimum.best_preconditioner, one_layer_optimum.least_loss, gaussian_quadrature.grid


def newton(given):
    return torch.linalg.inv(given.inputs)


def plain(given):
    return torch.eye(len(given.inputs), dtype=torch.float64) / (1 + (len(given.inputs) + 1) / given.demonstrations)


def without_trace(given):
    return torch.linalg.inv((1 + 1 / given.demonstrations) * given.inputs)


def trace_not_shared_by_demonstrations(given):
    identity = torch.eye(len(given.inputs), dtype=torch.float64)
    return torch.linalg.inv((1 + 1 / given.demonstrations) * given.inputs + given.inputs.trace() * identity)


def two_nodes(dimensions, *, nodes=3):
    return grid(dimensions, nodes=2)


def loss_of_one_more(given):
    return least(dataclasses.replace(given, demonstrations=given.demonstrations + 1))


CONTROLS = [
    Control("one-layer-optimum", "Newton's step", {f"{OPTIMUM}.best_preconditioner": newton}),
    Control("one-layer-optimum", "plain descent", {f"{OPTIMUM}.best_preconditioner": plain}),
    Control("one-layer-optimum", "the trace left out", {f"{OPTIMUM}.best_preconditioner": without_trace}),
    Control(
        "one-layer-optimum",
        "the trace not divided by the number of demonstrations",
        {f"{OPTIMUM}.best_preconditioner": trace_not_shared_by_demonstrations},
    ),
    Control("one-layer-optimum", "inputs of signs only, not normal ones", {GRID: two_nodes}),
    Control("baseline-lacks-a-demonstration", "inputs of signs only, not normal ones", {GRID: two_nodes}),
    Control(
        "baseline-lacks-a-demonstration",
        "the loss of one demonstration more",
        {f"{OPTIMUM}.least_loss": loss_of_one_more},
    ),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_turns_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == control.word
