"""The attention that a query gives to demonstrations equals a plain softmax over whole prompts, one at a time."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from icl_claims.errors import UsageError
from icl_claims.methods import Finetuning, InContext, LayerCausal, Linearized, Paraphrased, ZeroShot
from icl_claims.metrics.similarity import kendall_tau, random_attention, shares_of_demonstrations
from icl_claims.models.random_models import BOS, CONFIGURATIONS, EOS, random_model, random_network
from icl_claims.tasks.prompts import Demonstrations, Queries

ROWS = ((4, 5, 6, 30), (7, 8, 31), (11, 12, 13, 14, 30), (15, 16, 31))
SHOWN = replace(Demonstrations.from_rows(BOS, EOS, ROWS), context_order=(2, 0, 1), learning_order=(1, 3, 2, 0))
IN_ORDER = (ROWS[2], ROWS[0], ROWS[1])
QUERIES = Queries(((20, 21, 30), (23, 24, 25, 26, 30)), (30, 31), -2, -1)
LEARNERS = {"zero_shot": ZeroShot(), "finetuning": Finetuning(0.3), "layer_causal": LayerCausal(0.3)}
CLOSE = {"atol": 1e-4, "rtol": 1e-3}
every_family = pytest.mark.parametrize("family", sorted(CONFIGURATIONS))


def attention_to_demonstrations(learned):
    return learned.answer(QUERIES, training=learned.training_tokens(SHOWN)).training_attention


# Against whole prompts in transformers' own hands

_HEADS = "eager_with_recorded_heads"
_recorded: list[tuple[Tensor, Tensor]] = []


def _record_heads(module, query, key, value, attention_mask, **options):
    scale = options.get("scaling") or query.shape[-1] ** -0.5
    _recorded.append((query[0] * scale, key[0].repeat_interleave(query.shape[1] // key.shape[1], dim=0)))
    eager = sys.modules[type(module).__module__].eager_attention_forward
    return eager(module, query, key, value, attention_mask, **options)


AttentionInterface.register(_HEADS, _record_heads)
AttentionMaskInterface.register(_HEADS, eager_mask)


@dataclass(frozen=True)
class Heads:
    """Scaled queries and keys of every head, [layers, heads, tokens, head_dim], over one whole prompt."""

    queries: Tensor
    keys: Tensor


def heads(network: nn.Module, ids: list[int]) -> Heads:
    _recorded.clear()
    with torch.no_grad():
        network(torch.tensor([ids]), use_cache=False)
    return Heads(*map(torch.stack, zip(*_recorded, strict=True)))


def share_of_each(query: Tensor, keys: list[Tensor]) -> Tensor:
    """By layer: softmax of each head over all tokens, summed over those of a demonstration, mean over heads."""
    scores = torch.einsum("lhd,lhtd->lht", query, torch.cat(keys, dim=2))
    ends = torch.tensor([of_one.shape[2] for of_one in keys]).cumsum(0)
    below = (scores.exp() / scores.exp().sum(-1, keepdim=True)).cumsum(-1)[:, :, ends - 1]
    return below.diff(dim=-1, prepend=torch.zeros_like(below[:, :, :1])).mean(1)


@every_family
def test_in_context_it_is_the_softmax_of_the_last_row(family):
    got = attention_to_demonstrations(InContext().learn(random_model(family, 3, 0), SHOWN))
    network = random_network(family, 3, 0, attention=_HEADS)
    context = [BOS, *(token for row in IN_ORDER for token in (*row, EOS))]
    for place, row in enumerate(QUERIES.rows):
        seen = heads(network, [*context, *row])
        starts = [context.index(row[0]) for row in IN_ORDER]
        keys = [seen.keys[:, :, start : start + len(row)] for start, row in zip(starts, IN_ORDER, strict=True)]
        torch.testing.assert_close(got[:, place], share_of_each(seen.queries[:, :, -1], keys), **CLOSE)


@every_family
@pytest.mark.parametrize("method", LEARNERS.values(), ids=LEARNERS)
def test_of_weights_it_is_over_demonstrations_read_alone(family, method):
    learned = method.learn(random_model(family, 3, 0), SHOWN)
    got, network = attention_to_demonstrations(learned), random_network(family, 3, 0, attention=_HEADS)
    network.load_state_dict(learned.weights, strict=False)
    keys = [heads(network, [BOS, *row]).keys[:, :, 1:] for row in IN_ORDER]
    for place, row in enumerate(QUERIES.rows):
        query = heads(network, [BOS, *row]).queries[:, :, -1]
        torch.testing.assert_close(got[:, place], share_of_each(query, keys), **CLOSE)


# What it is


@pytest.mark.parametrize("method", [InContext(), *LEARNERS.values()], ids=["in_context", *LEARNERS])
def test_it_is_shared_out_among_the_shown_demonstrations(method):
    shares = attention_to_demonstrations(method.learn(random_model("llama", 2, 0), SHOWN))
    assert shares.shape == (2, len(QUERIES), SHOWN.shown)
    assert (shares > 0).all()
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, len(QUERIES)))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_equal_scores_give_shares_by_number_of_tokens(lengths):
    shares = shares_of_demonstrations(torch.full((3, 2, sum(lengths)), 7.0), lengths)
    wanted = torch.tensor(lengths, dtype=torch.float32) / sum(lengths)
    torch.testing.assert_close(shares, wanted.expand(2, -1))


def test_asking_for_it_changes_no_answer():
    learned = Finetuning(0.3).learn(random_model("llama", 2, 0), SHOWN)
    plainly, asked = learned.answer(QUERIES), learned.answer(QUERIES, training=learned.training_tokens(SHOWN))
    assert plainly.training_attention is None
    assert torch.equal(plainly.log_probabilities, asked.log_probabilities)
    assert torch.equal(plainly.scores, asked.scores)


def test_a_query_in_other_words_shares_out_their_attention():
    said = replace(QUERIES, paraphrased=QUERIES.rows[::-1])
    learned, other = (m.learn(random_model("llama", 2, 0), SHOWN) for m in (ZeroShot(), Paraphrased(ZeroShot())))
    found = other.answer(said, training=other.training_tokens(SHOWN)).training_attention
    torch.testing.assert_close(found, attention_to_demonstrations(learned).flip(1))


def test_a_first_order_expansion_is_not_asked_for_it():
    learned = Linearized(0.01).learn(random_model("llama", 2, 0), SHOWN)
    with pytest.raises(UsageError, match="got a first-order expansion"):
        attention_to_demonstrations(learned)


# At random


def test_random_attention_orders_as_nothing_else_does():
    drawn = random_attention(2, 8, range(300), seed=3)
    tau = kendall_tau(drawn, np.sort(drawn, axis=-1))
    assert abs(tau.mean()) < 4 * tau.std() / np.sqrt(tau.size)


def test_random_attention_of_a_query_is_the_same_in_every_batch():
    whole, part = (random_attention(2, 8, queries, seed=3) for queries in (range(9), [7, 2]))
    np.testing.assert_array_equal(whole[:, [7, 2]], part)
    assert (random_attention(2, 8, [7], seed=4) != part[:, :1]).all()
