"""Finetuning is stochastic gradient descent on keys and values, one demonstration a step, and nothing else."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from claims.small_transformers import key_value_part, small_demonstrations
from icl_claims.errors import DivergenceError, ModelError
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial import prompts_of
from icl_claims.methods import Finetuning, InContext, LayerCausal, Linearized, ZeroShot, descent
from icl_claims.models.attention import registered_attention
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.random_models import BOS, CONFIGURATIONS, EOS, random_model, random_network
from icl_claims.models.reference import load_model
from icl_claims.models.tokens import TokenEncoder
from icl_claims.protocol import Protocol
from icl_claims.tasks.prompts import Demonstrations, Queries
from icl_claims.tasks.sources import synthetic_task

CLOSE = {"atol": 1e-4, "rtol": 1e-3}
every_family = pytest.mark.parametrize("family", CONFIGURATIONS)
SEQUENCES = ((BOS, 4, 5, 6), (BOS, 7, 8, 9, 10), (BOS, 11, 12, 13))
QUERIES = Queries(((20, 21, 22), (23, 24, 25, 26)), (30, 31), -2, -1)


@cache
def small(family):
    return random_model(family, 3, 0)


@cache
def stock(family):
    return random_network(family, 3, 0)


def demonstrations(*sequences):
    return Demonstrations.from_rows(BOS, EOS, [sequence[1:] for sequence in sequences])


def descend(family, sequences, learning_rate, loss):
    """The same, written out with the optimiser of torch on a copy of the stock model."""
    network = copy.deepcopy(stock(family))
    parts = {name: key_value_part(name, value) for name, value in network.named_parameters()}
    tuned = {name: value for name, value in network.named_parameters() if parts[name] is not None}
    optimiser = torch.optim.SGD(tuned.values(), lr=learning_rate)
    losses = []
    for sequence in sequences:
        ids = torch.tensor(sequence)
        logits = network(ids[None], use_cache=False).logits[0]
        of_tokens = cross_entropy(logits[:-1], ids[1:], reduction="none")
        chosen = of_tokens.mean() if loss == "all_tokens" else of_tokens[-1]
        optimiser.zero_grad()
        chosen.backward()
        for name, value in tuned.items():
            value.grad *= parts[name]
        optimiser.step()
        losses.append(chosen.item())
    return {name: value.detach() for name, value in tuned.items()}, losses, network


@every_family
@settings(max_examples=5)
@given(
    shown=small_demonstrations(),
    learning_rate=st.sampled_from([0.01, 0.1, 0.5]),
    loss=st.sampled_from(["all_tokens", "label_only"]),
)
def test_finetuning_is_sgd_on_keys_and_values(family, shown, learning_rate, loss):
    learned = Finetuning(learning_rate, loss).learn(small(family), shown)
    wanted, losses, _ = descend(family, shown.sequences, learning_rate, loss)
    assert learned.weights.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(learned.weights[name], value, **CLOSE)
    torch.testing.assert_close(torch.tensor(learned.losses), torch.tensor(losses), **CLOSE)


@every_family
@pytest.mark.usefixtures("each_kernel")
def test_finetuned_answers_are_those_of_the_tuned_network(family):
    answer = Finetuning(0.3).learn(small(family), demonstrations(*SEQUENCES)).answer(QUERIES)
    network = descend(family, SEQUENCES, 0.3, "all_tokens")[2]
    for row, ids in enumerate(QUERIES.rows):
        with torch.no_grad():
            logits = network(torch.tensor([[BOS, *ids]]), use_cache=False).logits[0, -2]
        torch.testing.assert_close(answer.log_probabilities[row], logits.log_softmax(-1)[[30, 31]], **CLOSE)


@every_family
def test_a_learning_rate_of_zero_changes_nothing(family):
    model, shown = small(family), demonstrations(*SEQUENCES)
    learned = Finetuning(0.0).learn(model, shown)
    assert all(torch.equal(learned.weights[name], value) for name, value in model.tuned_values().items())
    finetuned, zero_shot = (method.answer(QUERIES) for method in (learned, ZeroShot().learn(model, shown)))
    assert torch.equal(finetuned.log_probabilities, zero_shot.log_probabilities)
    assert torch.equal(finetuned.attention_outputs, zero_shot.attention_outputs)


def test_the_order_of_demonstrations_matters():
    one, other = (
        Finetuning(0.5).learn(small("llama"), demonstrations(*sequences)).weights
        for sequences in (SEQUENCES, SEQUENCES[::-1])
    )
    assert any((one[name] - other[name]).abs().max() > 1e-3 for name in one)


def test_a_step_does_not_depend_on_other_demonstrations():
    shown = replace(demonstrations(*SEQUENCES), context_order=(0,), learning_order=(0,))
    elsewhere = replace(shown, context_order=(1, 2))
    one, other = (Finetuning(0.5).learn(small("llama"), given).weights for given in (shown, elsewhere))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_learning_the_label_alone_is_something_else():
    every, label = (
        Finetuning(0.5, loss).learn(small("llama"), demonstrations(*SEQUENCES)) for loss in ("all_tokens", "label_only")
    )
    assert every.losses[0] != label.losses[0]
    assert any(not torch.equal(every.weights[name], label.weights[name]) for name in every.weights)


def test_repeating_one_demonstration_lowers_its_loss():
    losses = Finetuning(0.01).learn(small("llama"), demonstrations(*[SEQUENCES[0]] * 5)).losses
    assert list(losses) == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("method", [Finetuning, LayerCausal])
@pytest.mark.parametrize("learning_rate", [float("inf"), float("nan"), 1e39])
@pytest.mark.parametrize("count", [1, 3])
def test_learning_that_runs_off_is_named_with_its_step_and_rate(count, learning_rate, method):
    with pytest.raises(DivergenceError, match=r"diverged at step 1|diverged at step 2") as found:
        method(learning_rate).learn(small("llama"), demonstrations(*SEQUENCES[:count]))
    assert f"Use a learning rate below {learning_rate:g}" in str(found.value)


@pytest.mark.parametrize("method", [Finetuning, LayerCausal])
@every_family
def test_huge_finite_weights_are_divergence_and_no_damaged_model(family, method):
    for exponent in range(10, 39, 4):
        with suppress(DivergenceError):
            answer = method(10.0**exponent).learn(small(family), demonstrations(SEQUENCES[0])).answer(QUERIES)
            assert answer.log_probabilities.isfinite().all()


# What it leaves behind


@every_family
def test_gradient_norms_are_of_each_steps_keys_and_values(family):
    model, shown = small(family), demonstrations(*SEQUENCES)
    norms = Finetuning(0.3).learn(model, shown).gradient_norms
    assert norms.shape == (3, 3)
    for step in range(3):
        before = descend(family, SEQUENCES[:step], 0.3, "all_tokens")[0] if step else model.tuned_values()
        after = descend(family, SEQUENCES[: step + 1], 0.3, "all_tokens")[0]
        for layer in range(3):
            change = torch.cat([(after[n] - before[n]).flatten() for n in names_of(model, layer)])
            assert norms[step, layer] == pytest.approx(float(change.norm()) / 0.3, rel=1e-3)


@every_family
def test_drift_is_the_relative_change_of_keys_and_values(family):
    model = small(family)
    learned = Finetuning(0.3).learn(model, demonstrations(*SEQUENCES))
    parts = {name: key_value_part(name, value) for name, value in model.tuned_values().items()}
    for layer, moved in enumerate(learned.drift()):
        before, after = (
            torch.cat([(values[n] * parts[n]).flatten() for n in names_of(model, layer)])
            for values in (model.tuned_values(), learned.weights)
        )
        assert moved == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-4)


@pytest.mark.parametrize("method", [ZeroShot(), InContext()])
def test_without_gradients_there_are_no_norms_and_no_drift(method):
    learned = method.learn(small("llama"), demonstrations(*SEQUENCES))
    assert learned.gradient_norms is None
    assert not learned.drift().any()


def names_of(model, layer):
    return [tuned.name for tuned in model.tuned_parameters if tuned.layer == layer]


def test_a_model_that_answers_with_no_number_is_a_model_error():
    model = random_model("llama", 1, 0)
    with torch.no_grad():
        model.network.lm_head.weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        ZeroShot().learn(model, demonstrations(*SEQUENCES)).answer(QUERIES)


@pytest.mark.parametrize(("task", "highest", "last"), [("agnews", 235.555, 2.248), ("cb", 173.288, 21.090)])
def test_a_high_loss_that_comes_down_again_is_no_divergence(task, highest, last):
    model, data = load_model("tiny"), synthetic_task(task)
    double = LanguageModel(copy.deepcopy(model.network).double(), model.tokens, name="double", digest="double")
    shown = prompts_of(TrialSpec.of(model, data, [], k=16), model, data).demonstrations
    exact, losses = (Linearized(10.0).learn(precise, shown).losses for precise in (double, model))
    assert (max(exact), exact[-1]) == pytest.approx((highest, last), rel=1e-2)
    # a rounding grows from step to step, here to less than 1e-3 of the loss in ten and to a tenth of it at the end
    assert losses[:10] == pytest.approx(exact[:10], rel=1e-2)
    assert losses[-1] < max(losses) / 5


def test_an_error_after_learning_keeps_its_own_cause(monkeypatch):
    model = random_model("llama", 1, 0)
    learned = Finetuning(0.1).learn(model, demonstrations(*SEQUENCES))

    def broken(*given, **how):
        raise ModelError("The attention broke")

    monkeypatch.setattr(model, "activations", broken)
    with pytest.raises(ModelError, match="The attention broke") as found:
        learned.answer(QUERIES)
    assert not isinstance(found.value, DivergenceError)


# In half precision


def quiet(dtype):
    """A model whose hidden states are so small that the norms before its blocks and head make gradients large."""
    network = random_network("llama", 2, 0, attention=registered_attention())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("embed_tokens.weight", "o_proj.weight", "down_proj.weight")):
                parameter.mul_(2.0**-11)
    for norm in (module for module in network.modules() if hasattr(module, "variance_epsilon")):
        norm.variance_epsilon = 1e-12
    return LanguageModel(network.to(dtype), TokenEncoder(None, BOS, EOS), name="quiet", digest="quiet")


@pytest.mark.parametrize("method", [Finetuning, LayerCausal, Linearized])
def test_gradients_beyond_float16_are_those_of_a_smaller_loss(method, monkeypatch):
    learned = {d: method(1e-6).learn(quiet(d), demonstrations(*SEQUENCES)) for d in (torch.float16, torch.float32)}
    norms, wanted = (learned[dtype].gradient_norms for dtype in (torch.float16, torch.float32))
    np.testing.assert_allclose(norms, wanted, rtol=0.01)
    monkeypatch.setattr(descent, "LEAST_LOSS_SCALE", descent.FLOAT16_LOSS_SCALE)
    with pytest.raises(DivergenceError, match="left the range of float16"):
        method(1e-6).learn(quiet(torch.float16), demonstrations(*SEQUENCES))


@pytest.mark.parametrize("method", [Finetuning, LayerCausal, Linearized])
def test_the_range_of_float16_is_named_where_it_ends(method):
    model = random_model("llama", 2, 0, torch.float16)
    with torch.no_grad():
        model.network.lm_head.weight.mul_(30_000)
    with pytest.raises(DivergenceError, match=r"left the range of float16 at step 1.*Use dtype float32"):
        method(1e-6).learn(model, demonstrations(*SEQUENCES))


@pytest.mark.parametrize("kind", [Finetuning, LayerCausal, Linearized])
def test_a_loss_that_is_left_open_is_the_protocols(kind):
    shown, model = demonstrations(*SEQUENCES), small("llama")
    open_ = kind(0.5).learn(model, replace(shown, protocol=Protocol(loss="label_only")))
    assert open_.losses == kind(0.5, loss="label_only").learn(model, shown).losses
    assert open_.losses != kind(0.5).learn(model, shown).losses
    assert kind(0.5).name + "_label_only" == kind(0.5, loss="label_only").name
