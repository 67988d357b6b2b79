"""Linearised finetuning: the first-order expansion is that of the model, and learns and answers as such."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from torch.autograd.forward_ad import dual_level, unpack_dual

from claims.small_transformers import small_demonstrations
from icl_claims.errors import DivergenceError, ModelError
from icl_claims.methods import Finetuning, LayerCausal, Linearized, ZeroShot
from icl_claims.methods.base import weight_changes
from icl_claims.methods.linearized import LearnedLinearly
from icl_claims.models.random_models import BOS, CONFIGURATIONS, EOS, random_model, random_network
from icl_claims.tasks.prompts import Demonstrations, Queries

SHOWN = Demonstrations.from_rows(BOS, EOS, ((4, 5, 6), (7, 8, 9, 10), (11, 12, 13)))
QUERIES = Queries(((20, 21, 22, 30), (23, 24, 25, 26, 30)), (30, 31), -2, -1)
SINGLE = {"atol": 1e-4, "rtol": 1e-3}
SMALL = 1e-4  # a rate at which the second order of every family shows, and the third does not
every_family = pytest.mark.parametrize("family", CONFIGURATIONS)


def double(family):
    return random_model(family, 2, 0, torch.float64)


def said(learned):
    answer = learned.answer(QUERIES, lens=True)
    return [answer.log_probabilities, answer.attention_outputs, answer.scores, answer.lens]


@every_family
@settings(max_examples=3)
@given(shown=small_demonstrations())
def test_the_first_step_is_finetunings(family, shown):
    one = replace(shown, learning_order=(0,))
    linearized, finetuned = (method.learn(double(family), one) for method in (Linearized(0.1), Finetuning(0.1)))
    for name, value in finetuned.weights.items():
        torch.testing.assert_close(linearized.weights[name], value, **SINGLE)
    assert linearized.losses == pytest.approx(finetuned.losses, rel=1e-4)
    assert linearized.gradient_norms == pytest.approx(finetuned.gradient_norms, rel=1e-3)


@every_family
def test_it_agrees_with_finetuning_to_first_order(family):
    model = double(family)
    start = said(ZeroShot().learn(model, SHOWN))
    whole, half = (
        [(a - b).norm() for a, b in zip(*(said(m.learn(model, SHOWN)) for m in methods), strict=True)]
        for methods in ((Linearized(rate), Finetuning(rate)) for rate in (SMALL, SMALL / 2))
    )
    moved = [(a - b).norm() for a, b in zip(said(Finetuning(SMALL).learn(model, SHOWN)), start, strict=True)]
    for of_whole, of_half, change in zip(whole, half, moved, strict=True):
        assert of_whole / of_half == pytest.approx(4, rel=0.25)
        assert of_whole < 0.1 * change


def test_another_method_does_not_agree_to_first_order():
    model = double("llama")
    gaps = [
        (said(LayerCausal(rate).learn(model, SHOWN))[1] - said(Finetuning(rate).learn(model, SHOWN))[1]).norm()
        for rate in (SMALL, SMALL / 2)
    ]
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.25)


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "gpt_neox"])
def test_answers_are_the_difference_of_two_plain_networks(family):
    model, small = double(family), 1e-3  # some norms of transformers are in single precision whatever the dtype
    learned = Linearized(0.005).learn(model, SHOWN)
    changes = weight_changes(model, learned.weights)
    wanted = []
    for row in QUERIES.rows:
        logits = []
        for share in (0.0, small, -small):
            network = random_network(family, 2, 0).double()
            with torch.no_grad():
                for name, change in changes.items():
                    network.get_parameter(name).add_(share * change)
                logits.append(network(torch.tensor([[BOS, *row]]), use_cache=False).logits[0, QUERIES.answer_at])
        linear = logits[0] + (logits[1] - logits[2]) / (2 * small)
        wanted.append(linear.log_softmax(-1)[[30, 31]])
    torch.testing.assert_close(learned.answer(QUERIES).log_probabilities, torch.stack(wanted), atol=2e-2, rtol=1e-2)


@every_family
def test_what_it_puts_out_is_affine_in_the_change(family):
    model = double(family)
    learned = Linearized(0.02).learn(model, SHOWN)

    def outputs(share):
        changes = {name: share * change for name, change in learned.changes.items()}
        moved = replace(
            learned.prefix_changes,
            keys=tuple(share * keys for keys in learned.prefix_changes.keys),
            values=tuple(share * values for values in learned.prefix_changes.values),
        )
        scaled = LearnedLinearly(model, learned.prefix, changes=changes, prefix_changes=moved)
        return scaled.answer(QUERIES).attention_outputs

    torch.testing.assert_close(outputs(3.0) - outputs(0.0), 3 * (outputs(1.0) - outputs(0.0)), atol=1e-3, rtol=1e-3)


def test_without_a_step_it_answers_as_zero_shot():
    model = random_model("llama", 2, 0)
    linearized, zero_shot = (method.learn(model, SHOWN) for method in (Linearized(0.0), ZeroShot()))
    for got, wanted in zip(said(linearized), said(zero_shot), strict=True):
        torch.testing.assert_close(got, wanted, **SINGLE)
    assert not linearized.drift().any()


def test_the_loss_of_the_label_alone_is_another():
    every, label = (Linearized(0.1, loss).learn(double("llama"), SHOWN) for loss in ("all_tokens", "label_only"))
    assert every.losses[0] != label.losses[0]
    assert Linearized(0.1, "label_only").name == "linearized_label_only"


# What it costs


def test_an_answer_is_one_pass_of_dual_numbers_through_the_model(monkeypatch):
    model = random_model("llama", 2, 0)
    learned, passes = Linearized(0.1).learn(model, SHOWN), []
    run = model._run
    monkeypatch.setattr(model, "_run", lambda *given: passes.append(given) or run(*given))
    learned.answer(QUERIES)
    assert len(passes) == 1


def test_a_step_is_one_pass_for_the_expansion_and_its_gradient(monkeypatch):
    model, passes = random_model("llama", 2, 0), []
    run = model._run
    monkeypatch.setattr(model, "_run", lambda *given: passes.append(given) or run(*given))
    Linearized(0.1).learn(model, SHOWN)
    assert len(passes) == len(SHOWN.sequences) + 1  # and the opening token


def test_what_is_computed_from_dual_numbers_keeps_no_graph():
    model = random_model("llama", 2, 0)
    learned = Linearized(0.1).learn(model, SHOWN)
    answer = learned.answer(QUERIES)
    with dual_level():
        assert unpack_dual(answer.scores).tangent is None
    tensors = (answer.attention_outputs, *learned.changes.values(), *learned.prefix.keys, *learned.weights.values())
    assert not any(tensor.requires_grad for tensor in tensors)


# Where it ends


@pytest.mark.parametrize("learning_rate", [float("inf"), float("nan"), 1e39])
def test_learning_that_runs_off_is_named(learning_rate):
    with pytest.raises(DivergenceError, match="linearized diverged at step"):
        Linearized(learning_rate).learn(random_model("llama", 2, 0), SHOWN)


def test_an_expansion_that_is_no_number_is_divergence():
    model = random_model("llama", 2, 0)
    learned = Linearized(0.1).learn(model, SHOWN)
    huge = {name: torch.full_like(change, 3e38) for name, change in learned.changes.items()}
    with pytest.raises(DivergenceError, match="Learning diverged"):
        replace(learned, changes=huge).answer(QUERIES)


def test_a_model_that_answers_with_no_number_is_a_model_error():
    model = random_model("llama", 2, 0)
    learned = Linearized(0.1).learn(model, SHOWN)
    with torch.no_grad():
        model.network.lm_head.weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        learned.answer(QUERIES)
