"""Negative controls of the claims about Vladymyrov et al. 2024."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from icl_claims.theory import token_map
from tests.quality.broken_attention import with_softmax, with_squared_scores
from tests.quality.controls import Control, verdict_under

AFTER = "icl_claims.theory.token_map.after"
ATTEND = "icl_claims.theory.linear_self_attention.attend_linearly"

after = token_map.after


def target_that_enters_no_input(layers, demonstrations):
    found = after(layers, demonstrations)
    return dataclasses.replace(found, reading=torch.zeros_like(found.reading))


def target_that_is_kept(layers, demonstrations):
    found = after(layers, demonstrations)
    return dataclasses.replace(found, kept=torch.ones_like(found.kept))


def moments_that_stay(layers, demonstrations):
    maps = [after([layer], demonstrations) for layer in layers]

    def one_after_another(tokens):
        for each in maps:
            tokens = each(tokens)
        return tokens

    return one_after_another


CONTROLS = [
    Control("layers-stay-linear", "u forgotten", {AFTER: target_that_enters_no_input}),
    Control("layers-stay-linear", "a forgotten", {AFTER: target_that_is_kept}),
    Control("layers-stay-linear", "moments of the first layer in all", {AFTER: moments_that_stay}),
    Control("layers-stay-linear", "softmax left in", {ATTEND: with_softmax}),
    Control("no-square-of-an-input", "softmax left in", {ATTEND: with_softmax}),
    Control("no-square-of-an-input", "scores squared", {ATTEND: with_squared_scores}),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_refutes_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"
