"""Negative controls of the claims in which something is trained, and of the one about quadratic convergence.

None trains for long: what a broken training would end in is constructed, or a short training is enough to see it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from claims.follow_ups import test_fu_trained
from icl_claims.theory import curvature_schedule, learned_heads, moment_learners, repeated_layer, separate_heads
from icl_claims.theory import in_context_regression as regression
from icl_claims.theory import linear_self_attention as attention
from tests.quality.controls import Control, verdict_under

LEARNERS = "icl_claims.theory.moment_learners"
REPEATED = "icl_claims.theory.repeated_layer"
SOFTMAX = "icl_claims.theory.learned_heads"
SEPARATE = "icl_claims.theory.separate_heads"
SCHEDULE = "icl_claims.theory.curvature_schedule"

train_stacks, train_repeated = moment_learners.train_stacks, repeated_layer.train
train_heads, train_separate = learned_heads.train, separate_heads.train
construct_plus_plus, layers = attention.construct_plus_plus, curvature_schedule.layers


def stack_of_steps(rates, inputs, seeds):
    """Stacks of gradient steps, one for each seed."""
    identity = torch.eye(inputs, dtype=torch.float64)
    one = torch.stack([torch.stack([-rate * identity, 0 * identity]) for rate in rates])
    return one.expand(len(seeds), *one.shape)


def inputs_left_as_they_are(seeds, *, layers, demonstrations, inputs, noise=0.0, how):
    rates = test_fu_trained.best_rates(test_fu_trained.moments(0), layers)
    return stack_of_steps(rates, inputs, seeds)


def stacks_barely_trained(seeds, *, how, **of_tasks):
    return train_stacks(seeds, how=replace(how, steps=20), **of_tasks)


def layer_of_gradient_descent(seed, *, repeats, demonstrations, inputs, how):
    generator = torch.Generator().manual_seed(seed)
    tasks = repeated_layer.draw(1000, demonstrations=demonstrations, inputs=inputs, generator=generator)
    return repeated_layer.best_plus_plus(tasks, repeats, corrects=False)


def repeated_layer_barely_trained(seed, *, how, **of_tasks):
    return train_repeated(seed, how=replace(how, steps=20), **of_tasks)


def gradient_step_in_a_head(seed, *, heads, demonstrations, inputs, how):
    tasks = regression.draw(
        1000, demonstrations=demonstrations, inputs=inputs, generator=torch.Generator().manual_seed(seed)
    )
    layer = regression.constructed(tasks, regression.best_step(tasks) / heads)
    matrices = torch.stack([layer.key, layer.query, layer.value, layer.projection])
    return matrices.expand(heads, *matrices.shape)


def without_softmax(heads, tasks):
    return sum(regression.predict(attention.LinearSelfAttention(*head), tasks) for head in heads)


def one_head_twice(seed, *, heads, how, **of_tasks):
    (head,) = train_heads(seed, heads=1, how=replace(how, steps=300), **of_tasks)
    key, query, value, projection = head
    return torch.stack([key, query, value, projection / heads]).expand(heads, *head.shape)


def a_large_start(seeds, kind, *, how, **of_layer):
    return train_separate(seeds, kind, how=replace(how, steps=1000, rate=0.02, spread=1.0), **of_layer)


def merged_in_both(seeds, kind, *, how, **of_layer):
    return train_separate(seeds, "merged", how=replace(how, steps=1000), **of_layer)


def no_curvature_correction(weights, rate, curvature, demonstrations):
    return construct_plus_plus(weights, rate, 0.0, demonstrations)


def curvature_added(weights, rate, curvature, demonstrations):
    return construct_plus_plus(weights, rate, -curvature, demonstrations)


def the_first_layer_repeated(weights, largest, demonstrations, count):
    return [*layers(weights, largest, demonstrations, 1)] * count


CONTROLS = [
    Control(
        "steps-per-layer",
        "layers that leave their inputs as they are",
        {f"{LEARNERS}.train_stacks": inputs_left_as_they_are},
    ),
    Control(
        "steps-per-layer", "stacks after 20 steps of training", {f"{LEARNERS}.train_stacks": stacks_barely_trained}
    ),
    Control(
        "gdpp-beats-gd", "a layer that leaves its inputs as they are", {f"{REPEATED}.train": layer_of_gradient_descent}
    ),
    Control(
        "gdpp-beats-gd", "a layer after 20 steps of training", {f"{REPEATED}.train": repeated_layer_barely_trained}
    ),
    Control(
        "softmax-one-head-falls-short",
        "softmax left out",
        {f"{SOFTMAX}.train": gradient_step_in_a_head, f"{SOFTMAX}.predict": without_softmax},
    ),
    Control("softmax-one-head-falls-short", "two heads that are the same", {f"{SOFTMAX}.train": one_head_twice}),
    Control("one-drop-or-many", "a large start", {f"{SEPARATE}.train": a_large_start}),
    Control("one-drop-or-many", "keys and queries merged in both", {f"{SEPARATE}.train": merged_in_both}),
    Control(
        "gdpp-is-second-order", "no curvature correction", {f"{SCHEDULE}.construct_plus_plus": no_curvature_correction}
    ),
    Control(
        "gdpp-is-second-order",
        "the sign of the curvature correction",
        {f"{SCHEDULE}.construct_plus_plus": curvature_added},
    ),
    Control(
        "gdpp-is-second-order", "one eta and one gamma for all layers", {f"{SCHEDULE}.layers": the_first_layer_repeated}
    ),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_variant_refutes_its_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"
