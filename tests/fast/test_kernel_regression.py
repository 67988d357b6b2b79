"""Kernel regression on hidden states: against plain loops, and on clusters where it must be right or wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.experiments.progress import packed, unpacked
from icl_claims.methods import KernelRegression, SwitchedLabels, ZeroShot
from icl_claims.methods.kernel_regression import (
    LEAST_PROBABILITY,
    TEMPERATURES,
    chosen,
    cosines,
    predicted_probabilities,
)
from icl_claims.models.random_models import BOS, CONFIGURATIONS, random_model
from icl_claims.tasks import Demonstrations, Queries

LABEL_IDS = (40, 41)
TEMPLATES = ((5, 9, 11), (6, 7, 8, 12), (9, 9, 4), (13, 8))
SHOWN = Demonstrations(BOS, (2,), TEMPLATES, (0, 1, 1, 0), LABEL_IDS, (2, 0, 3, 1), (0, 1, 2, 3))
QUERIES = Queries(((7, 5, 6), (11, 4), (8, 12, 13, 9, 6)), LABEL_IDS, answer_at=-1, probe_at=-1)


def by_hand(query, shown, labels, classes, temperature):
    """The kernel's mean of one query, a demonstration at a time."""
    common = sum(shown) / len(shown)
    weights = []
    for state in shown:
        a, b = query - common, state - common
        weights.append(math.exp(float(a @ b / (a.norm() * b.norm())) / temperature))
    return [sum(w for w, y in zip(weights, labels, strict=True) if y == c) / sum(weights) for c in range(classes)]


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 2**16), st.sampled_from(TEMPERATURES))
def test_it_is_the_mean_of_labels_weighed_by_cosines(seed, temperature):
    queries, shown, labels = drawn(seed, 3, 5), drawn(seed + 1, 6, 5), [0, 1, 2, 1, 0, 0]
    truth = torch.nn.functional.one_hot(torch.tensor(labels), 3).float()
    found = predicted_probabilities(cosines(queries, shown), truth, temperature)
    wanted = torch.tensor([by_hand(query, list(shown), labels, 3, temperature) for query in queries])
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)


@given(st.integers(0, 2**16))
def test_layer_and_temperature_are_those_that_predict_each_label_from_the_others(seed):
    states, labels = drawn(seed, 3, 5, 4), [0, 1, 1, 0, 1]
    losses = {}
    for temperature in TEMPERATURES:
        for layer in range(3):
            common, loss = states[layer].mean(0), 0.0
            for left_out in range(5):
                others = [i for i in range(5) if i != left_out]
                a = states[layer, left_out] - common
                weight = {
                    i: math.exp(float(torch.cosine_similarity(a, states[layer, i] - common, dim=0)) / temperature)
                    for i in others
                }
                right = sum(weight[i] for i in others if labels[i] == labels[left_out]) / sum(weight.values())
                loss -= math.log(max(right, LEAST_PROBABILITY)) / 5
            losses[layer, temperature] = loss
    found = chosen(states, torch.tensor(labels), 2)
    assert losses[found] == pytest.approx(min(losses.values()), abs=1e-4)


def test_the_layer_with_clusters_is_chosen_and_right():
    labels = torch.tensor([0, 1] * 8)
    centres = torch.tensor([[3.0, 0, 0, 0], [0, 3.0, 0, 0]])
    noise, clustered = drawn(0, 16, 4), centres[labels] + 0.1 * drawn(1, 16, 4)
    layer, temperature = chosen(torch.stack([noise, clustered]), labels, 2)
    assert layer == 1
    truth = torch.nn.functional.one_hot(labels, 2).float()
    queries = centres + 0.1 * drawn(2, 2, 4)
    said = predicted_probabilities(cosines(queries, clustered), truth, temperature)
    assert said.argmax(-1).tolist() == [0, 1]
    exchanged = predicted_probabilities(cosines(queries, clustered), truth[:, [1, 0]], temperature)
    assert exchanged.argmax(-1).tolist() == [1, 0]


@pytest.mark.parametrize("family", CONFIGURATIONS)
def test_a_query_is_answered_by_the_states_of_zero_shot(family):
    model = random_model(family, 2, 0)
    learned, opening = KernelRegression().learn(model, SHOWN), model.read_prefix([BOS])

    def state(row):
        seen = model.answer([row], opening, answer_at=-1, probe_at=-1, blocks=True)
        return seen.block_outputs[learned.layer][0]

    shown, labels = [state(TEMPLATES[i]) for i in SHOWN.context_order], [SHOWN.labels[i] for i in SHOWN.context_order]
    wanted = [by_hand(state(row), shown, labels, 2, learned.temperature) for row in QUERIES.rows]
    found = learned.answer(QUERIES)
    least = torch.tensor(wanted).clamp_min(LEAST_PROBABILITY)
    torch.testing.assert_close(found.log_probabilities.exp(), least, atol=2e-3, rtol=1e-2)
    before = ZeroShot().learn(model, SHOWN).answer(QUERIES)
    torch.testing.assert_close(found.attention_outputs, before.attention_outputs)


@pytest.fixture(scope="module")
def model():
    return random_model("llama", 2, 0)


def test_false_labels_are_what_it_answers_with(model):
    kernel, exchanged = KernelRegression(), SwitchedLabels(KernelRegression(), "cyclic")
    true, false = (one.learn(model, SHOWN).answer(QUERIES).log_probabilities for one in (kernel, exchanged))
    torch.testing.assert_close(true, false[:, [1, 0]])


@pytest.mark.parametrize("labels", [(0, 0, 0, 0), (1, 1, 1, 1)])
def test_a_label_that_no_demonstration_has_is_never_said(model, labels):
    said = KernelRegression().learn(model, replace(SHOWN, labels=labels)).answer(QUERIES).log_probabilities
    assert torch.isfinite(said).all()
    assert said.argmax(-1).unique().tolist() == [labels[0]]


def test_one_demonstration_is_enough(model):
    alone = replace(SHOWN, context_order=(1,), learning_order=(1,))
    said = KernelRegression().learn(model, alone).answer(QUERIES).log_probabilities
    assert said.argmax(-1).unique().tolist() == [SHOWN.labels[1]]


def test_what_was_learned_can_be_written_to_a_file(model):
    learned = KernelRegression().learn(model, SHOWN)
    again = unpacked(*packed(learned), model)
    found, before = (one.answer(QUERIES).log_probabilities for one in (again, learned))
    torch.testing.assert_close(found, before, atol=0, rtol=0)
