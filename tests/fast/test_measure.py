"""What the answers to a batch give: which methods are compared, and which numbers are kept of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from icl_claims.experiments.batches import batches_by_length, measure, partners_in
from icl_claims.experiments.result import Entry
from icl_claims.experiments.spec import TrialSpec
from icl_claims.methods import Batch, Finetuning, InContext, Paraphrased, SwitchedLabels, ZeroShot, pairs
from icl_claims.metrics import Answer, sim_aou
from icl_claims.tasks.prompts import Queries

FT, SWITCHED_ICL = Finetuning(0.1), SwitchedLabels(InContext(), "cyclic")
METHODS = (FT, SWITCHED_ICL, SwitchedLabels(FT, "cyclic"))
SPEC = TrialSpec("model", "data", "sst2", k=4, seed=0, permutation=0, queries=None, methods=METHODS)
GOLD = np.array([0, 1, 0, 1])
LAYERS, HEADS, BATCH, HIDDEN, WIDTH, LABELS = 3, 2, 4, 8, 5, 2
QUERIES = [7, 3, 5, 1]
LENGTHS = (5, 9, 7, 12, 6, 8, 11, 10)


def answer(seed, *, lens=False):
    drawn = torch.Generator().manual_seed(seed)
    read = torch.randn(LAYERS, BATCH, LABELS, generator=drawn).log_softmax(-1) if lens else None
    return Answer(
        torch.randn(BATCH, LABELS, generator=drawn).log_softmax(-1),
        torch.randn(LAYERS, BATCH, HIDDEN, generator=drawn),
        torch.randn(LAYERS, HEADS, BATCH, WIDTH, generator=drawn),
        read,
        (WIDTH,) * BATCH,
    )


@pytest.fixture
def answers():
    return {method.name: answer(seed, lens=True) for seed, method in enumerate(SPEC.answering)}


@pytest.fixture
def numbers(answers):
    return measured(answers)


def measured(answers, spec=SPEC, queries=QUERIES, lengths=LENGTHS, **changes):
    batch = Batch(answers, answers["zero_shot"], queries, partners_in(queries), spec.seed)
    return measure(spec, replace(batch, **changes), GOLD[: len(queries)], lengths)


def test_which_method_is_compared_with_which():
    compared, icl = set(pairs(SPEC.answering)), InContext()
    assert {(method, icl) for method in SPEC.answering if method != icl} <= compared
    assert (FT, SWITCHED_ICL) in compared
    assert (SwitchedLabels(FT, "cyclic"), SWITCHED_ICL) in compared
    assert (icl, icl) not in compared
    assert len(compared) == len(SPEC.answering) - 1 + 2


def test_a_perturbation_within_another_is_compared_with_its_like():
    twice = [Paraphrased(SwitchedLabels(method, "cyclic")) for method in (InContext(), FT)]
    found = set(pairs((ZeroShot(), InContext(), FT, SwitchedLabels(FT, "cyclic"), *twice)))
    assert (twice[1], twice[0]) in found
    assert (SwitchedLabels(FT, "cyclic"), twice[0]) not in found


def test_a_similarity_is_that_of_the_two_methods_it_names(answers, numbers):
    of = {name: one.attention_outputs for name, one in answers.items()}
    switched, tuned, zero_shot = of["in_context_cyclic_labels"], of["finetuning_cyclic_labels"], of["zero_shot"]
    found = numbers["by_layer"][Entry("sim_aou", "finetuning_cyclic_labels", "in_context_cyclic_labels")]
    np.testing.assert_allclose(found, sim_aou.values(switched, tuned, zero_shot), atol=1e-6)


def test_an_update_of_zero_shot_is_not_measured(numbers):
    assert Entry("sim_am", "zero_shot") in numbers["by_layer"]
    of_updates = {Entry(metric, "zero_shot") for metric in ("sim_aou", "sim_aou_unnormalised", "sim_am_update")}
    assert not of_updates & set(numbers["by_layer"])


def test_the_lens_loss_is_the_cross_entropy_of_the_true_label(answers, numbers):
    read = answers["finetuning"].lens
    wanted = -torch.stack([read[:, row, label] for row, label in enumerate([0, 1, 0, 1])])
    np.testing.assert_allclose(numbers["by_layer"][Entry("lens_loss", "finetuning")], wanted, rtol=1e-6)


def test_nulls_replace_the_update_of_finetuning(numbers):
    for null in ("gaussian_of_finetuning", "other_query_of_finetuning"):
        assert {Entry(metric, null) for metric in ("sim_aou", "sim_am", "sim_am_update")} <= set(numbers["by_layer"])
    assert Entry("sim_aou", "random_update") in numbers["by_layer"]
    of_variants = [entry for entry in numbers["by_layer"] if entry.method.endswith("_of_finetuning_cyclic_labels")]
    assert not of_variants


def test_a_single_query_has_no_other_one(answers):
    alone = {name: replace(one, **first_row(one)) for name, one in answers.items()}
    found = measured(alone, queries=[7])["by_layer"]
    assert any("gaussian" in entry.method for entry in found)
    assert not any("other_query" in entry.method for entry in found)


def first_row(one):
    return {
        "log_probabilities": one.log_probabilities[:1],
        "attention_outputs": one.attention_outputs[:, :1],
        "scores": one.scores[:, :, :1],
        "lens": one.lens[:, :1],
        "widths": one.widths[:1],
    }


def test_a_method_asked_in_other_words_has_no_attention_maps(answers):
    others = {**answers, "zero_shot_paraphrased": replace(answers["finetuning"], scores=None)}
    found = measured(others, replace(SPEC, methods=(*METHODS, Paraphrased(ZeroShot()))))["by_layer"]
    assert Entry("sim_aou", "zero_shot_paraphrased") in found
    assert Entry("sim_am", "zero_shot_paraphrased") not in found


# The order in which demonstrations are attended to


def orders_measured(answers, **shares):
    """Kendall's tau of every method, by what attention each gives to demonstrations."""
    attending = {name: replace(one, training_attention=shares.get(name)) for name, one in answers.items()}
    lengths = LENGTHS[: shares["in_context"].shape[-1]] if shares else LENGTHS
    found = measured(attending, lengths=lengths, partners=None)["by_layer"]
    return {entry.method: tau for entry, tau in found.items() if entry.metric == "kendall"}


def test_tau_is_one_in_the_same_order_and_minus_one_reversed(answers):
    shares = torch.rand(LAYERS, BATCH, 8, generator=torch.Generator().manual_seed(0))
    found = orders_measured(answers, in_context=shares, zero_shot=shares.square(), finetuning=1 - shares)
    assert set(found) == {"zero_shot", "finetuning", "random_update", "demonstration_lengths"}
    np.testing.assert_allclose(found["zero_shot"], np.ones((BATCH, LAYERS)), atol=1e-6)
    np.testing.assert_allclose(found["finetuning"], -np.ones((BATCH, LAYERS)), atol=1e-6)
    assert (np.abs(found["random_update"]) < 1).all()


def test_the_length_of_a_demonstration_is_a_null_for_its_share(answers):
    shares = torch.tensor(LENGTHS).div(sum(LENGTHS)).expand(LAYERS, BATCH, len(LENGTHS))
    found = orders_measured(answers, in_context=shares, zero_shot=1 - shares)
    np.testing.assert_allclose(found["demonstration_lengths"], np.ones((BATCH, LAYERS)), atol=1e-6)


def test_a_single_demonstration_has_no_order(answers):
    alone = torch.ones(LAYERS, BATCH, 1)
    assert np.isnan(orders_measured(answers, in_context=alone, zero_shot=alone)["zero_shot"]).all()


def test_without_attention_to_demonstrations_there_is_no_order(answers):
    assert orders_measured(answers) == {}


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("tokens", [1, 20, 1000])
def test_neighbours_in_length_are_never_parted(count, tokens):
    rows = tuple((0,) * (2 + (7 * i) % 11) for i in range(count))
    queries = Queries(rows, label_ids=(1, 2), answer_at=-2, probe_at=-1)
    partner = {}
    for batch in batches_by_length(queries, tokens):
        places = partners_in(batch)
        if places is not None:
            partner |= {batch[own]: batch[other] for own, other in enumerate(places)}
    whole = sorted(range(count), key=lambda i: len(rows[i]))
    expected = partners_in(whole)
    assert partner == ({} if expected is None else {whole[i]: whole[j] for i, j in enumerate(expected)})
    assert all(one != other for one, other in partner.items())
