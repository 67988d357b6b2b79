"""Negative controls of the claims about layers built to learn: mesa-layers, Sander et al., and Bai et al."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from icl_claims.theory import autoregression, linear_self_attention, mesa_layer, relu_heads
from tests.quality.controls import Control, verdict_under

MESA = "icl_claims.theory.mesa_layer"
AUTOREGRESSION = "icl_claims.theory.autoregression"
HEADS = "icl_claims.theory.relu_heads"

mesa_attention, two_heads = mesa_layer.mesa_attention, relu_heads.construct
augmented_tokens, reads_predecessors = autoregression.augmented_tokens, autoregression.construct


def inverse_left_as_it_was(inverse, left, right):
    return inverse


def update_without_denominator(inverse, left, right):
    return inverse - torch.outer(inverse @ left, right @ inverse)


def a_token_behind(keys, values, queries, penalty):
    answers = mesa_attention(keys, values, queries.roll(-1, 0), penalty).roll(1, 0)
    return torch.cat([torch.zeros_like(answers[:1]), answers[1:]])


def not_augmented(states):
    return torch.cat([torch.zeros_like(states), states, states], dim=1)


def successors_as_keys(width, rate):
    layer = reads_predecessors(width, rate)
    return dataclasses.replace(layer, key=layer.value, value=layer.key)


def without_a_mask(states, rate):
    tokens, width = augmented_tokens(states), states.shape[1]
    return linear_self_attention.attend_linearly(reads_predecessors(width, rate), tokens, tokens)[:, :width]


def one_head(weights, rate, demonstrations):
    return two_heads(weights, rate, demonstrations)[:1]


def heads_of_one_sign(weights, rate, demonstrations):
    one, other = two_heads(weights, rate, demonstrations)
    return [one, dataclasses.replace(other, projection=-other.projection)]


def heads_without_a_mean(weights, rate, demonstrations):
    return two_heads(weights, rate * max(demonstrations, 1), demonstrations)


CONTROLS = [
    Control("mesa-layer-is-ridge", "the inverse never updated", {f"{MESA}.add_rank_one": inverse_left_as_it_was}),
    Control("mesa-layer-is-ridge", "no denominator", {f"{MESA}.add_rank_one": update_without_denominator}),
    Control("mesa-layer-is-ridge", "answers a token behind", {f"{MESA}.mesa_attention": a_token_behind}),
    Control("ar-step", "tokens not augmented", {f"{AUTOREGRESSION}.augmented_tokens": not_augmented}),
    Control("ar-step", "keys and values swapped", {f"{AUTOREGRESSION}.construct": successors_as_keys}),
    Control("ar-step", "no causal mask", {f"{AUTOREGRESSION}.predictions": without_a_mask}),
    Control("relu-heads-are-gd", "one head", {f"{HEADS}.construct": one_head}),
    Control("relu-heads-are-gd", "values of one sign", {f"{HEADS}.construct": heads_of_one_sign}),
    Control("relu-heads-are-gd", "1/N missing", {f"{HEADS}.construct": heads_without_a_mean}),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_refutes_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"
