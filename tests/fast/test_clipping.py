"""Clipping scales gradients down to a bound, by the norm that it is named after, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from claims.small_transformers import small_demonstrations
from icl_claims.errors import UsageError
from icl_claims.methods import (
    Clipping,
    Finetuning,
    LayerCausal,
    Linearized,
    at_rate,
    is_diagnosed,
    nulls_of_method,
    variant_of,
)
from icl_claims.models.blocks import TunedParameter, layer_norms
from icl_claims.models.random_models import BOS, CONFIGURATIONS, EOS, random_model
from icl_claims.protocol import Protocol
from icl_claims.tasks.prompts import Demonstrations

RATE = 0.3
SHOWN = Demonstrations.from_rows(BOS, EOS, ((4, 5, 6), (7, 8, 9, 10), (11, 12, 13)))
ONE = replace(SHOWN, learning_order=(0,))
PARAMETERS = (
    TunedParameter("a", 0),
    TunedParameter("b", 0, torch.tensor([False, True, True])),
    TunedParameter("c", 1),
)
DRAWN = ("finetuning", "layer_causal", "layer_causal_sequential", "layer_causal_norm_matched")
methods = pytest.mark.parametrize("method", [Finetuning(RATE), LayerCausal(RATE)], ids=lambda method: method.name)


@st.composite
def gradients(draw):
    numbers = st.floats(-100, 100, width=32)
    return tuple(torch.tensor(draw(st.lists(numbers, min_size=3, max_size=3))) for _ in PARAMETERS)


def sizes(of):
    """L2 of all, L2 of each layer, and the largest entry, of the entries that are tuned."""
    layers = [torch.cat([of[0], of[1][1:]]), of[2]]
    return torch.cat(layers).norm(), [layer.norm() for layer in layers], torch.cat(layers).abs().max()


@given(gradients(), st.sampled_from([0.1, 1.0, 50.0]))
def test_each_norm_is_bound_and_what_is_within_stays(given_gradients, at):
    clipped = {
        norm: Clipping(at, norm).clip(PARAMETERS, given_gradients) for norm in ("global_l2", "layer_l2", "l_inf")
    }
    for place, norm in ((0, "global_l2"), (2, "l_inf")):
        assert sizes(clipped[norm])[place] <= at * 1.0001
        if sizes(given_gradients)[place] < 0.99 * at:
            assert all(torch.equal(a, b) for a, b in zip(clipped[norm], given_gradients, strict=True))
    assert all(size <= at * 1.0001 for size in sizes(clipped["layer_l2"])[1])


@given(gradients(), st.sampled_from(["global_l2", "l_inf"]))
def test_a_norm_over_all_layers_keeps_the_direction(given_gradients, norm):
    clipped = torch.cat(Clipping(1.0, norm).clip(PARAMETERS, given_gradients))
    before = torch.cat(given_gradients)
    torch.testing.assert_close(clipped * before.norm(), before * clipped.norm(), atol=1e-2, rtol=1e-3)


def test_the_factor_is_fairseqs():
    (clipped,) = Clipping(2.0, "global_l2").clip([TunedParameter("a", 0)], [torch.tensor([3.0, 4.0])])
    torch.testing.assert_close(clipped, torch.tensor([3.0, 4.0]) * (2.0 / (5.0 + 1e-6)))


@pytest.mark.parametrize("family", CONFIGURATIONS)
def test_clipping_all_together_is_torchs_own_clipping(family):
    model = random_model(family, 3, 0)
    leaves = [value.clone().requires_grad_() for value in model.tuned_values().values()]
    drawn = [p.only_tuned(torch.randn_like(leaf)) for p, leaf in zip(model.tuned_parameters, leaves, strict=True)]
    for leaf, gradient in zip(leaves, drawn, strict=True):
        leaf.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(leaves, 0.7)
    for leaf, clipped in zip(leaves, Clipping(0.7, "global_l2").clip(model.tuned_parameters, drawn), strict=True):
        torch.testing.assert_close(clipped, leaf.grad)


@methods
@pytest.mark.parametrize("norm", ["global_l2", "layer_l2", "l_inf"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_step_is_no_longer_than_the_rate_times_the_bound(family, norm, method):
    model, at = random_model(family, 3, 0), 0.01
    learned = replace(method, clip=Clipping(at, norm)).learn(model, ONE)
    moved = {n: (value - model.tuned_values()[n]) / RATE for n, value in learned.weights.items()}
    by_layer = layer_norms(model.tuned_parameters, moved.values())
    largest = max(float(value.abs().max()) for value in moved.values())
    size = {"global_l2": np.hypot.reduce(list(by_layer.values())), "layer_l2": max(by_layer.values()), "l_inf": largest}
    assert size[norm] == pytest.approx(at, rel=1e-2)
    assert learned.gradient_norms.min() > at


@methods
def test_finetunings_gradients_bound_those_of_each_layer(method):
    model = random_model("llama", 3, 0)
    bounds = Finetuning(RATE).learn(model, ONE).gradient_norms[0]
    learned = replace(method, clip=Clipping(norm="finetuning")).learn(model, ONE)
    moved = {n: (value - model.tuned_values()[n]) / RATE for n, value in learned.weights.items()}
    for layer, norm in layer_norms(model.tuned_parameters, moved.values()).items():
        assert norm == pytest.approx(min(bounds[layer], learned.gradient_norms[0, layer]), rel=1e-3)


@pytest.mark.parametrize("update", ["concurrent", "sequential"])
def test_what_finetuning_learned_is_given_or_learned_on_the_way(update):
    model, method = random_model("llama", 3, 0), LayerCausal(RATE, update, clip=Clipping(norm="finetuning"))
    given_it = method.learn(model, SHOWN, {Finetuning(RATE): Finetuning(RATE).learn(model, SHOWN)})
    alone = method.learn(model, SHOWN)
    assert all(torch.equal(alone.weights[name], value) for name, value in given_it.weights.items())


@methods
@settings(max_examples=5)
@given(shown=small_demonstrations())
def test_a_bound_that_nothing_reaches_changes_nothing(method, shown):
    model = random_model("opt", 2, 0)
    one, other = (replace(method, clip=clip).learn(model, shown) for clip in (None, Clipping(1e9, "layer_l2")))
    assert all(torch.equal(one.weights[name], value) for name, value in other.weights.items())
    assert (one.gradient_norms == other.gradient_norms).all()


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (Finetuning(RATE), "finetuning"),
        (Finetuning(RATE, "label_only"), "finetuning_label_only"),
        (Finetuning(RATE, clip=Clipping(12.0, "global_l2")), "finetuning_clip_12"),
        (LayerCausal(RATE), "layer_causal"),
        (LayerCausal(RATE, "sequential"), "layer_causal_sequential"),
        (LayerCausal(RATE, norm_matched=True), "layer_causal_norm_matched"),
        (LayerCausal(RATE, clip=Clipping(12.0, "global_l2")), "layer_causal_clip_12"),
        (LayerCausal(RATE, clip=Clipping(1.0, "layer_l2")), "layer_causal_clip_layers_1"),
        (LayerCausal(RATE, clip=Clipping(0.1, "l_inf")), "layer_causal_clip_linf_0.1"),
        (LayerCausal(RATE, clip=Clipping(norm="finetuning")), "layer_causal_clip_to_finetuning"),
    ],
)
def test_a_method_is_named_after_what_is_particular_about_it(method, name):
    assert method.name == name
    assert replace(method, learning_rate=1.0).name == name
    plain = type(method)(RATE)
    assert variant_of(method) == (None if name == plain.name else plain)
    assert is_diagnosed(method) == (name == plain.name)
    assert {null.of for null in nulls_of_method(method)} == {method}
    assert (method.look is None) != (name in DRAWN)


@pytest.mark.parametrize(
    ("method", "title"),
    [
        (Finetuning(), "finetuning"),
        (Finetuning(loss="label_only"), "finetuning, of labels alone"),
        (Finetuning(clip=Clipping(12.0)), "finetuning clipped at 12"),
        (Linearized(), "linearised finetuning"),
        (LayerCausal(), "layer-causal finetuning"),
        (LayerCausal(update="sequential"), "sequential layer-causal finetuning"),
        (LayerCausal(norm_matched=True), "norm-matched layer-causal finetuning"),
        (
            LayerCausal(clip=Clipping(1.0, "layer_l2")),
            "layer-causal finetuning clipped at 1 in the L2 norm of each layer",
        ),
        (LayerCausal(clip=Clipping(norm="finetuning")), "layer-causal finetuning clipped to the norms of finetuning"),
    ],
)
def test_a_method_says_in_print_what_is_particular_about_it(method, title):
    assert method.title == title
    assert at_rate(method, 0.1).title == title
    assert variant_of(at_rate(method, 0.1)) == (variant_of(method) and at_rate(variant_of(method), 0.1))


@pytest.mark.parametrize("kind", [Finetuning, LayerCausal, Linearized])
def test_to_name_the_default_loss_makes_no_variant(kind):
    named = kind(RATE, loss="all_tokens")
    assert named.name == kind(RATE).name
    assert variant_of(named) is None
    assert bool(nulls_of_method(named))


@pytest.mark.parametrize(
    ("norm", "at"),
    [("global_l2", None), ("l_inf", 0.0), ("layer_l2", -1.0), ("global_l2", np.nan), ("finetuning", 1.0)],
)
def test_a_bound_that_makes_no_sense_is_refused(norm, at):
    with pytest.raises(UsageError, match=f"Clipping by {norm} makes no sense: expected"):
        Clipping(at, norm)


@pytest.mark.parametrize("norm", ["global_l2", "l_inf"])
def test_layers_that_step_in_turn_have_no_norm_over_all(norm):
    with pytest.raises(UsageError, match=f"one layer at a time: expected clipping by layer, got by {norm}"):
        LayerCausal(RATE, "sequential", clip=Clipping(1.0, norm))


def test_a_norm_that_is_left_open_is_the_protocols():
    model, method = random_model("llama", 3, 0), LayerCausal(RATE, clip=Clipping(at=0.1))
    under = replace(ONE, protocol=Protocol(clip_norm="l_inf"))
    open_, named = method.learn(model, under), replace(method, clip=Clipping(0.1, "l_inf")).learn(model, ONE)
    assert all(torch.equal(open_.weights[name], value) for name, value in named.weights.items())
    assert method.name == "layer_causal_clip_0.1"
    with pytest.raises(UsageError, match="one layer at a time"):
        replace(method, update="sequential").learn(model, ONE)
    replace(method, update="sequential").learn(model, replace(ONE, protocol=Protocol(clip_norm="layer_l2")))
