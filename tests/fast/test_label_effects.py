"""Metrics and methods about labels: against plain loops over queries, and what they do to demonstrations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.methods import Finetuning, InContext, LayerCausal, MixedLabels, Reordered, SwitchedLabels, pairs
from icl_claims.methods.prompting import half_exchanged
from icl_claims.metrics import (
    accuracy,
    accuracy_gain,
    beyond_half_way,
    follows_exchanged,
    token_overlap,
    true_label_log_probability,
)
from icl_claims.models.random_models import random_model
from icl_claims.tasks import Demonstrations

CLASSES = 3
LABELS = st.lists(st.tuples(*[st.integers(0, CLASSES - 1)] * 4), min_size=1, max_size=12)
FT, LC = Finetuning(0.1), LayerCausal(0.1)


def columns(rows):
    return [np.array(column) for column in zip(*rows, strict=True)]


@given(LABELS)
def test_metrics_of_labels_are_counts_of_queries(rows):
    answered, reference, zero_shot, gold = columns(rows)
    right, by_reference, before = ([int(one[i] == one[3]) for one in rows] for i in range(3))
    gain = sum(right) - sum(by_reference)
    assert accuracy_gain.values(answered, reference, gold).sum() == gain
    beyond = sum(right) - (sum(by_reference) + sum(before)) / 2
    assert beyond_half_way.values(answered, reference, zero_shot, gold).sum() == pytest.approx(beyond)
    followed = sum(one[0] == (one[3] + 1) % CLASSES for one in rows)
    assert follows_exchanged.values(answered, gold, CLASSES).sum() == followed


@given(LABELS)
def test_beyond_half_way_says_what_the_recovered_share_says(rows):
    answered, reference, zero_shot, gold = columns(rows)
    ours, by_context, before = (accuracy.values(one, gold).mean() for one in (answered, reference, zero_shot))
    if by_context > before:
        recovered = (ours - before) / (by_context - before)
        value = beyond_half_way.values(answered, reference, zero_shot, gold).mean()
        assert np.sign(round(value, 9)) == np.sign(round(recovered - 0.5, 9))


def test_following_exchanged_labels_is_being_right_by_them():
    gold = np.arange(60) % CLASSES
    exchanged = np.array([(label + 1) % CLASSES for label in gold])
    assert follows_exchanged.values(exchanged, gold, CLASSES).all()
    assert not follows_exchanged.values(gold, gold, CLASSES).any()


@given(st.integers(0, 2**16), st.floats(-5, 5))
def test_the_probability_of_the_true_label_is_one_among_the_labels(seed, shift):
    drawn = np.random.default_rng(seed)
    said, gold = drawn.normal(size=(5, CLASSES)), drawn.integers(0, CLASSES, 5)
    by_hand = [np.log(np.exp(row[label]) / np.exp(row).sum()) for row, label in zip(said, gold, strict=True)]
    np.testing.assert_allclose(true_label_log_probability.values(said, gold), by_hand)
    np.testing.assert_allclose(true_label_log_probability.values(said + shift, gold), by_hand)


@given(st.integers(0, 2**16))
def test_the_overlap_of_tokens_is_that_of_sets(seed):
    drawn = torch.Generator().manual_seed(seed)
    one, other = (torch.stack([torch.randperm(15, generator=drawn)[:10] for _ in range(6)]) for _ in range(2))
    by_sets = [[len({*a.tolist()} & {*b.tolist()}) / 10] for a, b in zip(one, other, strict=True)]
    torch.testing.assert_close(token_overlap.values(one, other), torch.tensor(by_sets))
    shuffled = one[:, torch.randperm(10, generator=drawn)]
    assert (token_overlap.values(one, shuffled) == 1).all()


def test_unrelated_tokens_overlap_as_much_as_chance_has_it():
    drawn, vocabulary = torch.Generator().manual_seed(0), 40
    one, other = (torch.rand(4000, vocabulary, generator=drawn).topk(10).indices for _ in range(2))
    assert float(token_overlap.values(one, other).mean()) == pytest.approx(10 / vocabulary, abs=0.01)


# Demonstrations of which half have the next class's label

SHOWN = Demonstrations(0, (1,), ((5,),) * 5, (0, 1, 0, 1, 0), (7, 8), (4, 2, 0, 1, 3), (0, 1, 2, 3, 4))


@pytest.fixture(scope="module")
def model():
    return random_model("llama", 1, 0)


@pytest.fixture
def learned_from(monkeypatch):
    """The demonstrations that in-context learning and finetuning are given, neither of which learns anything."""
    found, read = [], InContext.learn

    def note(_self, model, shown, _known=None):
        found.append(shown)
        return read(InContext(), model, shown)

    for method in (InContext, Finetuning):
        monkeypatch.setattr(method, "learn", note)
    return found


@pytest.mark.parametrize("arrangement", ["true_first", "exchanged_first", "alternating"])
@given(st.integers(2, 4), st.permutations(range(7)), st.lists(st.integers(0, 1), min_size=7, max_size=7))
def test_every_arrangement_exchanges_as_many_labels(arrangement, classes, order, labels):
    mixed = half_exchanged(tuple(labels), classes, tuple(order), arrangement)
    changed = [place for place, index in enumerate(order) if mixed[index] != labels[index]]
    wanted = {"true_first": [4, 5, 6], "exchanged_first": [0, 1, 2], "alternating": [1, 3, 5]}
    assert changed == wanted[arrangement]
    assert all(mixed[order[place]] == (labels[order[place]] + 1) % classes for place in changed)


def test_what_is_not_shown_keeps_its_label():
    assert half_exchanged((0, 1, 0, 1), 2, (3, 0), "true_first") == (1, 1, 0, 1)


def test_labels_are_mixed_in_the_order_in_which_a_method_sees_them(model, learned_from):
    MixedLabels(InContext(), "true_first").learn(model, SHOWN)
    MixedLabels(FT, "exchanged_first").learn(model, SHOWN)
    in_context, finetuned = learned_from
    assert in_context.labels == (0, 0, 0, 0, 0)  # of 4, 2, 0, 1, 3 the last two
    assert finetuned.labels == (1, 0, 0, 1, 0)  # of 0 to 4 the first two
    assert in_context.templates == finetuned.templates == SHOWN.templates


def test_mixed_labels_have_names_and_titles_of_their_own():
    mixed = [MixedLabels(InContext(), how) for how in ("true_first", "exchanged_first", "alternating")]
    assert [one.name for one in mixed] == [
        "in_context_true_first",
        "in_context_exchanged_first",
        "in_context_alternating",
    ]
    assert len({one.title for one in mixed}) == 3


def test_layer_causal_finetuning_and_another_order_are_compared_with_finetuning():
    other_orders = tuple(Reordered(FT, order) for order in (1, 2))
    found = set(pairs((InContext(), FT, LC, LayerCausal(0.1, norm_matched=True), *other_orders)))
    against = {method for method, reference in found if reference == FT}
    assert against == {LC, other_orders[0]}


def test_nothing_is_compared_with_finetuning_that_is_not_there():
    found = set(pairs((InContext(), LC, Reordered(FT, 1), SwitchedLabels(FT, "cyclic"))))
    assert {reference for _, reference in found} == {InContext()}
