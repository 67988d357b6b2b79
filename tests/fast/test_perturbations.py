"""What a method is given can be changed, and nothing else about it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.errors import PromptError
from icl_claims.methods import (
    Finetuning,
    InContext,
    LayerCausal,
    Linearized,
    Method,
    Paraphrased,
    Reordered,
    SwitchedLabels,
    ZeroShot,
    at_rate,
    is_diagnosed,
    learner_of,
    learns_weights,
    nulls_of_method,
    variant_of,
)
from icl_claims.methods.prompting import switched
from icl_claims.models.random_models import BOS, EOS, random_model
from icl_claims.tasks.prompts import Demonstrations, Queries

SHOWN = Demonstrations.from_rows(BOS, EOS, ((4, 5, 30), (7, 8, 9, 31), (11, 12, 32), (14, 15, 30)))
QUERIES = Queries(((20, 21, 22, 30), (23, 24, 25, 26, 30)), (30, 31, 32), -2, -1, ((40, 21, 22, 30), (41, 24, 25, 30)))
LEARNERS = (InContext(), Finetuning(0.3), LayerCausal(0.3), Linearized(0.01))
CYCLIC = SwitchedLabels(InContext(), "cyclic")
every_learner = pytest.mark.parametrize("method", LEARNERS, ids=lambda method: method.name)


def model():
    return random_model("llama", 2, 0)


def said(learned):
    return learned.answer(QUERIES).log_probabilities


# Labels


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=12), st.sampled_from(["permuted", "cyclic"]), st.integers(0, 30)
)
def test_a_permutation_leaves_no_label_and_can_be_undone(labels, switch, seed):
    new = switched(tuple(labels), 5, switch, seed)
    back = dict(zip(new, labels, strict=True))
    assert len(back) == len(set(labels))
    assert [back[label] for label in new] == labels
    assert all(one != other for one, other in zip(new, labels, strict=True))
    assert new == switched(tuple(labels), 5, switch, seed)


def test_labels_move_on_by_one_class():
    assert switched((0, 1, 2, 2), 3, "cyclic", 0) == (1, 2, 0, 0)


def test_of_two_classes_there_is_one_permutation():
    assert {switched((0, 1, 1), 2, switch, seed) for switch in ("permuted", "cyclic") for seed in range(5)} == {
        (1, 0, 0)
    }


def test_permutations_differ_between_seeds():
    assert len({switched((0, 1, 2, 3), 4, "permuted", seed) for seed in range(30)}) > 3


def test_random_labels_are_uniform_whatever_the_true_ones():
    drawn = torch.tensor([switched((0,) * 50 + (1,) * 50, 4, "random", seed) for seed in range(40)])
    for half in drawn.split(50, dim=1):
        shares = torch.bincount(half.flatten(), minlength=4) / half.numel()
        assert (shares - 0.25).abs().max() < 0.05


@every_learner
@pytest.mark.parametrize("switch", ["permuted", "cyclic", "random"])
def test_a_method_learns_from_the_switched_labels(method, switch):
    wrapped = SwitchedLabels(method, switch, seed=1)
    labels = switched(SHOWN.labels, 3, switch, 1)
    got, wanted = wrapped.learn(model(), SHOWN), method.learn(model(), SHOWN.relabelled(labels))
    assert torch.equal(said(got), said(wanted))
    assert not torch.equal(said(got), said(method.learn(model(), SHOWN)))


def test_what_true_labels_taught_is_not_taken_for_the_others():
    wrapped = SwitchedLabels(LayerCausal(0.3, norm_matched=True), "cyclic")
    truthful = Finetuning(0.3).learn(model(), SHOWN)
    assert torch.equal(
        said(wrapped.learn(model(), SHOWN, {Finetuning(0.3): truthful})), said(wrapped.learn(model(), SHOWN))
    )


# Order


@every_learner
def test_a_method_learns_in_another_order(method):
    got = Reordered(method, 3).learn(model(), SHOWN)
    assert torch.equal(said(got), said(method.learn(model(), SHOWN.reordered(3))))
    assert not torch.allclose(said(got), said(method.learn(model(), SHOWN)), atol=1e-6)


# Words


@pytest.mark.parametrize("method", [ZeroShot(), *LEARNERS], ids=lambda method: method.name)
def test_a_method_is_asked_in_other_words(method):
    got = Paraphrased(method).learn(model(), SHOWN).answer(QUERIES, lens=True)
    wanted = method.learn(model(), SHOWN).answer(replace(QUERIES, rows=QUERIES.paraphrased), lens=True)
    assert torch.equal(got.log_probabilities, wanted.log_probabilities)
    assert torch.equal(got.lens, wanted.lens)
    assert got.scores is None
    assert got.widths == ()


def test_what_was_learned_is_the_same_whatever_the_words():
    plain, asked = (method.learn(model(), SHOWN) for method in (Finetuning(0.3), Paraphrased(Finetuning(0.3))))
    assert asked.losses == plain.losses
    assert (asked.drift() == plain.drift()).all()


def test_queries_without_other_words_are_refused():
    with pytest.raises(PromptError, match="not written in other words"):
        Paraphrased(ZeroShot()).learn(model(), SHOWN).answer(replace(QUERIES, paraphrased=()))


# Names


@pytest.mark.parametrize(
    ("method", "name", "title"),
    [
        (CYCLIC, "in_context_cyclic_labels", "in-context learning with cyclic labels"),
        (
            SwitchedLabels(Finetuning(0.1), "permuted", 3),
            "finetuning_permuted_labels",
            "finetuning with permuted labels",
        ),
        (Reordered(LayerCausal(0.1), 4), "layer_causal_order_4", "layer-causal finetuning in order 4"),
        (Paraphrased(ZeroShot()), "zero_shot_paraphrased", "paraphrased zero-shot"),
        (
            Reordered(CYCLIC, 1),
            "in_context_cyclic_labels_order_1",
            "in-context learning with cyclic labels in order 1",
        ),
    ],
)
def test_a_changed_method_knows_its_change_and_who_learns(method, name, title):
    assert (method.name, method.title) == (name, title)
    assert variant_of(method) == method.method
    assert not is_diagnosed(method)
    assert not bool(nulls_of_method(method))
    assert isinstance(method, Method)
    assert not isinstance(learner_of(method), SwitchedLabels | Reordered | Paraphrased)
    assert name.startswith(learner_of(method).name)


def test_a_changed_method_learns_weights_where_its_learner_does():
    assert not learns_weights(CYCLIC)
    assert not learns_weights(Paraphrased(Reordered(ZeroShot(), 1)))
    assert learns_weights(SwitchedLabels(Finetuning(0.1), "cyclic"))


def test_a_rate_reaches_the_method_within():
    open_, own = Reordered(SwitchedLabels(Finetuning(), "cyclic"), 1), Paraphrased(LayerCausal(0.5))
    assert at_rate(open_, 0.2) == Reordered(SwitchedLabels(Finetuning(0.2), "cyclic"), 1)
    assert at_rate(own, 0.2) == own
    assert at_rate(CYCLIC, 0.2) == CYCLIC
