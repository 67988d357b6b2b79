"""Negative controls of the claim about Ahn et al. 2023."""

from __future__ import annotations

import pytest
import torch

from icl_claims.theory import invariant_tasks
from tests.quality.broken_attention import with_positions
from tests.quality.controls import Control, verdict_under

TASKS = "icl_claims.theory.invariant_tasks"
ATTEND = "icl_claims.theory.linear_self_attention.attend_linearly"

linear_tasks = invariant_tasks.linear_tasks


def no_turn(size):
    return torch.eye(size, dtype=torch.float64)[None]


def signs_only(size):
    return torch.diag_embed(torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * size))


def isotropic_weights(root, inputs, weights):
    turned, matched = linear_tasks(root, inputs, weights)
    return turned, matched @ root


CONTROLS = [
    Control("critical-points-are-newton-like", "one prompt", {f"{TASKS}.signed_permutations": no_turn}),
    Control("critical-points-are-newton-like", "no permutations", {f"{TASKS}.signed_permutations": signs_only}),
    Control("critical-points-are-newton-like", "isotropic weights", {f"{TASKS}.linear_tasks": isotropic_weights}),
    Control("critical-points-are-newton-like", "positions added to demonstrations", {ATTEND: with_positions}),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_refutes_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"
