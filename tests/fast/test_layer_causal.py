"""Layer-causal finetuning: what its two updates share, how its changes are measured out, and what it never holds."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from claims.small_transformers import small_demonstrations
from icl_claims.errors import DivergenceError
from icl_claims.methods import Finetuning, LayerCausal
from icl_claims.methods.base import weight_changes
from icl_claims.methods.descent import next_token_losses
from icl_claims.methods.layer_causal import block_losses
from icl_claims.models.blocks import layer_norms
from icl_claims.models.random_models import BOS, CONFIGURATIONS, EOS, VOCABULARY, random_model
from icl_claims.tasks.prompts import Demonstrations

RATE = 0.3
SHOWN = Demonstrations.from_rows(BOS, EOS, ((4, 5, 6), (7, 8, 9, 10), (11, 12, 13)))
every_family = pytest.mark.parametrize("family", CONFIGURATIONS)
CLOSE = {"atol": 1e-5, "rtol": 1e-4}


@every_family
@settings(max_examples=5)
@given(shown=small_demonstrations(), loss=st.sampled_from(["all_tokens", "label_only"]))
def test_for_one_block_all_updates_are_the_same(family, shown, loss):
    model = random_model(family, 1, 0)
    learned = [
        method.learn(model, shown)
        for method in (Finetuning(RATE, loss), LayerCausal(RATE, loss=loss), LayerCausal(RATE, "sequential", loss))
    ]
    for other in learned[1:]:
        for name, value in learned[0].weights.items():
            torch.testing.assert_close(other.weights[name], value, **CLOSE)
        torch.testing.assert_close(torch.tensor(other.losses), torch.tensor(learned[0].losses), **CLOSE)
        torch.testing.assert_close(
            torch.from_numpy(other.gradient_norms), torch.from_numpy(learned[0].gradient_norms), **CLOSE
        )


@every_family
def test_the_first_step_agrees_in_the_lowest_and_the_last_layer(family):
    model, one = random_model(family, 3, 0), replace(SHOWN, learning_order=(0,))
    concurrent, sequential, finetuned = (
        method.learn(model, one) for method in (LayerCausal(RATE), LayerCausal(RATE, "sequential"), Finetuning(RATE))
    )
    assert sequential.gradient_norms[0, 0] == pytest.approx(concurrent.gradient_norms[0, 0], rel=1e-5)
    assert sequential.gradient_norms[0, 2] != pytest.approx(concurrent.gradient_norms[0, 2], rel=1e-5)
    assert finetuned.gradient_norms[0, 2] == pytest.approx(concurrent.gradient_norms[0, 2], rel=1e-4)
    assert finetuned.gradient_norms[0, 0] != pytest.approx(concurrent.gradient_norms[0, 0], rel=1e-2)


@pytest.mark.parametrize("update", ["concurrent", "sequential"])
@every_family
def test_norm_matched_changes_have_the_length_of_finetunings(family, update):
    model = random_model(family, 3, 0)
    finetuned, plain = (method.learn(model, SHOWN) for method in (Finetuning(RATE), LayerCausal(RATE, update)))
    matched = LayerCausal(RATE, update, norm_matched=True).learn(model, SHOWN, {Finetuning(RATE): finetuned})
    changes = {of: weight_changes(model, of.weights) for of in (finetuned, plain, matched)}
    lengths = {of: layer_norms(model.tuned_parameters, change.values()) for of, change in changes.items()}
    assert lengths[matched] == pytest.approx(lengths[finetuned], rel=1e-4)
    assert lengths[plain] != pytest.approx(lengths[finetuned], rel=1e-2)
    for tuned in model.tuned_parameters:
        direction, wanted = (changes[of][tuned.name] / lengths[of][tuned.layer] for of in (matched, plain))
        torch.testing.assert_close(direction, wanted, **CLOSE)


def test_norm_matched_learning_finds_lengths_by_itself():
    model, method = random_model("llama", 3, 0), LayerCausal(RATE, norm_matched=True)
    given_it = method.learn(model, SHOWN, {Finetuning(RATE): Finetuning(RATE).learn(model, SHOWN)})
    alone = method.learn(model, SHOWN)
    assert all(torch.equal(alone.weights[name], value) for name, value in given_it.weights.items())


def test_where_nothing_is_learned_there_is_no_length_to_match():
    model = random_model("llama", 2, 0)
    learned = LayerCausal(0.0, norm_matched=True).learn(model, SHOWN)
    assert not learned.drift().any()


def test_finetuning_that_runs_off_leaves_no_length_to_match():
    with pytest.raises(DivergenceError, match="finetuning diverged"):
        LayerCausal(1e39, norm_matched=True).learn(random_model("llama", 2, 0), SHOWN)


# The loss of a block


@every_family
def test_a_blocks_loss_is_that_of_plain_backpropagation(family):
    model, sequence = random_model(family, 3, 0), SHOWN.sequences[1]
    leaves = {name: value.clone().requires_grad_() for name, value in model.tuned_values().items()}
    last = block_losses(model, leaves, sequence)[-1]
    plain = next_token_losses(model.sequence_logits(sequence, leaves), sequence).mean()
    torch.testing.assert_close(last, plain)
    own = [leaves[tuned.name] for tuned in model.tuned_parameters if tuned.layer == 2]
    for got, wanted in zip(*(torch.autograd.grad(3 * loss, own) for loss in (last, plain)), strict=True):
        torch.testing.assert_close(got, wanted, **CLOSE)


def test_no_logits_outlive_their_reading():
    model, sequence = random_model("llama", 4, 0), SHOWN.sequences[1]
    leaves = {name: value.clone().requires_grad_() for name, value in model.tuned_values().items()}
    logits = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            made = func(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor) and made.shape[1:] == (VOCABULARY,):
                logits.append(weakref.ref(made))
            return made

    with Watch():
        losses = block_losses(model, leaves, sequence)
    gc.collect()
    assert len(losses) == 4
    assert logits
    assert not [alive for alive in logits if alive() is not None]
