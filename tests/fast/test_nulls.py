"""Controls of updates: as large as the method's, about nothing, and the same however queries are batched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from icl_claims.errors import UsageError
from icl_claims.methods import AnotherQuerysUpdate, Batch, Finetuning, GaussianUpdate, InContext, ZeroShot
from icl_claims.metrics import Answer, sim_am_update, sim_aou
from icl_claims.models.random_models import BOS, EOS, random_model
from icl_claims.tasks.prompts import Demonstrations, Queries

SHOWN = Demonstrations.from_rows(BOS, EOS, ((4, 5, 30), (7, 8, 9, 31), (11, 12, 30)))
ROWS = tuple(tuple(np.random.default_rng(i).integers(3, 60, 3 + i % 5).tolist()) for i in range(12))
QUERIES = Queries(ROWS, (30, 31), -2, -1)
EVERY = list(range(12))
CLOSE = {"atol": 1e-4, "rtol": 1e-3}


@pytest.fixture(scope="module")
def answers():
    model = random_model("llama", 3, 0)
    return {m.name: m.learn(model, SHOWN).answer(QUERIES) for m in (ZeroShot(), InContext(), Finetuning(0.3))}


def some(answer, chosen):
    width = max(answer.widths[i] for i in chosen)
    return Answer(
        answer.log_probabilities[chosen],
        answer.attention_outputs[:, chosen],
        answer.scores[:, :, chosen, :width],
        widths=tuple(answer.widths[i] for i in chosen),
    )


def gaussian_update(answer, zero_shot, queries, seed):
    return GaussianUpdate(Finetuning()).answer(Batch({"finetuning": answer}, zero_shot, queries, None, seed))


def another_querys_update(answer, zero_shot, partners):
    return AnotherQuerysUpdate(Finetuning()).answer(Batch({"finetuning": answer}, zero_shot, EVERY, partners, 0))


def updates(answer, zero_shot):
    return answer.attention_outputs - zero_shot.attention_outputs, answer.scores - zero_shot.scores


def test_a_gaussian_update_is_as_long_as_the_methods(answers):
    zero_shot, finetuned = answers["zero_shot"], answers["finetuning"]
    null = gaussian_update(finetuned, zero_shot, EVERY, 5)
    for drawn, own in zip(updates(null, zero_shot), updates(finetuned, zero_shot), strict=True):
        torch.testing.assert_close(drawn.norm(dim=-1), own.norm(dim=-1), **CLOSE)
    assert torch.equal(null.log_probabilities, zero_shot.log_probabilities)


def test_beyond_the_width_of_a_query_every_control_is_zero(answers):
    zero_shot, finetuned = answers["zero_shot"], answers["finetuning"]
    nulls = (
        gaussian_update(finetuned, zero_shot, EVERY, 5),
        another_querys_update(finetuned, zero_shot, [(i + 1) % 12 for i in EVERY]),
    )
    for null in nulls:
        for row, width in enumerate(null.widths):
            assert not null.scores[:, :, row, width:].any()


def test_a_gaussian_update_points_nowhere():
    model = random_model("llama", 3, 0)
    many = Queries(
        tuple(tuple(np.random.default_rng(i).integers(3, 60, 20).tolist()) for i in range(150)), (30,), -2, -1
    )
    zero_shot, in_context = (m.learn(model, SHOWN).answer(many) for m in (ZeroShot(), InContext()))
    null = gaussian_update(in_context, zero_shot, list(range(150)), 5)
    outputs = [answer.attention_outputs for answer in (in_context, null, zero_shot)]
    similarity = sim_aou.values(*outputs, normalised=False)
    assert similarity.mean().abs() < 3 * similarity.std() / 150**0.5
    maps = sim_am_update.values(in_context.scores, null.scores, zero_shot.scores)
    defined = maps[~maps.isnan()]  # rotary positions: demonstrations move no score of the first layer
    assert defined.mean().abs() < 3 * defined.std() / 150**0.5


def test_draws_follow_from_seed_and_query_and_not_the_batch(answers):
    zero_shot, finetuned = answers["zero_shot"], answers["finetuning"]
    whole = gaussian_update(finetuned, zero_shot, EVERY, 5)
    chosen = [7, 2]
    part = gaussian_update(some(finetuned, chosen), some(zero_shot, chosen), chosen, 5)
    torch.testing.assert_close(part.attention_outputs, whole.attention_outputs[:, chosen])
    torch.testing.assert_close(part.scores, some(whole, chosen).scores)
    other = gaussian_update(finetuned, zero_shot, EVERY, 6)
    assert not torch.allclose(whole.attention_outputs, other.attention_outputs)


def test_another_querys_update_is_the_other_querys(answers):
    zero_shot, finetuned = answers["zero_shot"], answers["finetuning"]
    partners = EVERY[3:] + EVERY[:3]
    null = another_querys_update(finetuned, zero_shot, partners)
    (got, got_scores), (own, own_scores) = updates(null, zero_shot), updates(finetuned, zero_shot)
    torch.testing.assert_close(got, own[:, partners], **CLOSE)
    for row, partner in enumerate(partners):
        ours, theirs = null.widths[row], null.widths[partner]
        for back in range(1, ours + 1):
            wanted = own_scores[:, :, partner, theirs - back] if back <= theirs else torch.zeros(3, 4)
            torch.testing.assert_close(got_scores[:, :, row, ours - back], wanted, **CLOSE)


def test_a_query_that_is_its_own_partner_has_its_own_update(answers):
    zero_shot, finetuned = answers["zero_shot"], answers["finetuning"]
    same = another_querys_update(finetuned, zero_shot, EVERY)
    torch.testing.assert_close(same.attention_outputs, finetuned.attention_outputs, **CLOSE)
    torch.testing.assert_close(same.scores, finetuned.scores, **CLOSE)


def test_where_there_is_no_update_there_is_no_control_of_one(answers):
    zero_shot = answers["zero_shot"]
    null = gaussian_update(zero_shot, zero_shot, EVERY, 5)
    assert torch.equal(null.attention_outputs, zero_shot.attention_outputs)


def test_in_half_precision_updates_keep_their_length():
    model = random_model("llama", 2, 0, torch.bfloat16)
    zero_shot, finetuned = (m.learn(model, SHOWN).answer(QUERIES) for m in (ZeroShot(), Finetuning(0.3)))
    null = gaussian_update(finetuned, zero_shot, EVERY, 5)
    lengths = [
        (answer.attention_outputs.float() - zero_shot.attention_outputs.float()).norm(dim=-1)
        for answer in (null, finetuned)
    ]
    torch.testing.assert_close(*lengths, **CLOSE)


def test_no_tensor_is_left_on_another_device():
    model = random_model("llama", 2, 0)
    model.network.to("meta")
    zero_shot, in_context = (m.learn(model, SHOWN).answer(QUERIES) for m in (ZeroShot(), InContext()))
    nulls = (
        gaussian_update(in_context, zero_shot, EVERY, 5),
        another_querys_update(in_context, zero_shot, EVERY),
    )
    for null in nulls:
        assert null.attention_outputs.is_meta
        assert null.scores.is_meta


def test_an_answer_without_scores_has_no_control(answers):
    zero_shot = answers["zero_shot"]
    for control in (lambda a: gaussian_update(a, zero_shot, EVERY, 5), lambda a: another_querys_update(a, a, EVERY)):
        with pytest.raises(UsageError, match="needs attention scores, got the answer of a paraphrased"):
            control(replace(zero_shot, scores=None))
