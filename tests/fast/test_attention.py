"""Attention with a shared prefix equals a plain forward over the whole prompt, in every supported family."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad

from icl_claims.errors import ModelError, PromptError
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.random_models import (
    BOS,
    CONFIGURATIONS,
    CONTEXT,
    FIRST_WORD,
    VOCABULARY,
    random_model,
    random_network,
)

CLOSE = {"atol": 2e-4, "rtol": 2e-4}  # eager softmax is in float32 whatever the dtype
every_family = pytest.mark.parametrize("family", CONFIGURATIONS)

word = st.integers(FIRST_WORD, VOCABULARY - 1)
prefixes = st.lists(word, max_size=20).map(lambda words: [BOS, *words])  # longer than the sliding window of 7
batches = st.lists(st.lists(word, min_size=2, max_size=12), min_size=1, max_size=4)


@cache
def small(family: str, dtype: torch.dtype = torch.float32) -> LanguageModel:
    return random_model(family, 3, 0, dtype)


@every_family
@settings(max_examples=12)
@given(prefix=prefixes, rows=batches)
def test_packed_queries_after_a_prefix_equal_whole_prompts(plain, family, prefix, rows):
    model, network = small(family), plain.network(family)
    together = model.answer(rows, model.read_prefix(prefix), answer_at=-2, probe_at=-1)
    for row, ids in enumerate(rows):
        alone = plain.see(network, prefix + ids)
        torch.testing.assert_close(together.logits[row], alone.logits[-2], **CLOSE)
        torch.testing.assert_close(together.attention_outputs[:, row], alone.outputs[:, -1], **CLOSE)
        own = together.scores[:, :, row, : len(ids)]
        torch.testing.assert_close(own, alone.scores[:, :, -1, len(prefix) :], **CLOSE)
        assert not together.scores[:, :, row, len(ids) :].any(), "there are no scores beyond a query's end"


@every_family
@pytest.mark.parametrize("probe_at", [-1, -2, 0, 1])
@pytest.mark.usefixtures("each_kernel")
def test_the_probe_stands_where_it_is_put(plain, family, probe_at):
    model, prefix, rows = small(family), [BOS, 5, 6, 7, 8], [[9, 10, 11], [12, 13, 14, 15, 16]]
    seen = model.answer(rows, model.read_prefix(prefix), answer_at=-1, probe_at=probe_at)
    for row, ids in enumerate(rows):
        position = len(prefix) + probe_at % len(ids)
        alone = plain.see(plain.network(family), prefix + ids)
        torch.testing.assert_close(seen.attention_outputs[:, row], alone.outputs[:, position], **CLOSE)
        own = slice(len(prefix), len(prefix) + len(ids))
        torch.testing.assert_close(seen.scores[:, :, row, : len(ids)], alone.scores[:, :, position, own], **CLOSE)


@every_family
@settings(max_examples=10)
@given(prefix=prefixes, rows=batches)
def test_a_query_is_answered_alike_alone_and_in_company(family, prefix, rows):
    model = small(family)
    read = model.read_prefix(prefix)
    together = model.answer(rows, read, answer_at=-2, probe_at=-1)
    for row, ids in enumerate(rows):
        alone = model.answer([ids], read, answer_at=-2, probe_at=-1)
        torch.testing.assert_close(together.logits[row], alone.logits[0], **CLOSE)
        torch.testing.assert_close(together.attention_outputs[:, row], alone.attention_outputs[:, 0], **CLOSE)
        torch.testing.assert_close(together.scores[:, :, row, : len(ids)], alone.scores[:, :, 0], **CLOSE)


@every_family
def test_another_prefix_gives_another_answer(family):
    model = small(family)
    one, other = (
        model.answer([[9, 10]], model.read_prefix([BOS, *words]), answer_at=-1, probe_at=-1)
        for words in ([4, 5], [6, 7])
    )
    assert (one.logits - other.logits).abs().max() > 1e-2


@pytest.mark.parametrize("family", ["mistral", "gemma3_text"])
def test_the_sliding_window_hides_the_far_end_of_the_prefix(family):
    model = random_model(family, 1, 0)
    if family == "gemma3_text":
        assert model.config.layer_types == ["sliding_attention"]
    far, near = ([BOS, 4, *range(10, 16), 20], [BOS, 4, *range(10, 16), 21])
    other_far = [BOS, 5, *far[2:]]
    answers = [
        model.answer([[9]], model.read_prefix(p), answer_at=-1, probe_at=-1).logits for p in (far, other_far, near)
    ]
    torch.testing.assert_close(answers[0], answers[1])
    assert (answers[0] - answers[2]).abs().max() > 1e-3


@every_family
def test_sequence_logits_and_gradients_equal_eager_attention(family):
    model, network = small(family, torch.float64), random_network(family, 3, 0).double()
    ids = [BOS, *range(FIRST_WORD, FIRST_WORD + 12)]
    direction = torch.randn(len(ids), VOCABULARY, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    leaves = {name: value.clone().requires_grad_() for name, value in model.tuned_values().items()}
    ours = model.sequence_logits(ids, leaves)
    stock = network(torch.tensor([ids]), use_cache=False).logits[0]
    torch.testing.assert_close(ours, stock, **CLOSE)
    parameters = dict(network.named_parameters())
    wanted = torch.autograd.grad((stock * direction).sum(), [parameters[name] for name in leaves])
    got = torch.autograd.grad((ours * direction).sum(), list(leaves.values()))
    for mine, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # of torch itself, once
@every_family
def test_forward_and_backward_derivatives_after_a_prefix_agree(family):
    model, rows = small(family, torch.float64), [[9, 10, 11], [12, 13]]
    weights = model.tuned_values()
    change = {name: torch.ones_like(value) for name, value in weights.items()}

    def logits(given):
        prefix = model.prefix_of([BOS, *range(FIRST_WORD, FIRST_WORD + 9)], given)
        return model.activations(rows, prefix, answer_at=-1, probe_at=-1, weights=given).logits

    leaves = {name: value.clone().requires_grad_() for name, value in weights.items()}
    direction = torch.randn(2, VOCABULARY, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradients = torch.autograd.grad((logits(leaves) * direction).sum(), list(leaves.values()))
    with forward_ad.dual_level():
        seen = logits({name: forward_ad.make_dual(value, change[name]) for name, value in weights.items()})
        tangent = forward_ad.unpack_dual(seen).tangent
    torch.testing.assert_close((tangent * direction).sum(), sum(g.sum() for g in gradients), **CLOSE)


@every_family
def test_the_probe_is_scored_against_the_keys_it_is_asked_to(plain, family):
    model, prefix, rows = small(family), [BOS, 5, 6, 7, 8], [[9, 10, 11], [12, 13, 14, 15, 16]]
    read, few = model.read_prefix(prefix), [3, 1]
    keys = tuple(of_layer[:, few] for of_layer in read.keys)
    seen = model.answer(rows, read, answer_at=-1, probe_at=-1, against=keys)
    for row, own in enumerate(rows):
        wanted = plain.see(plain.network(family), prefix + own).scores[:, :, -1, few]
        torch.testing.assert_close(torch.stack(seen.scores_against)[:, :, row], wanted, **CLOSE)


@every_family
def test_what_the_probe_is_scored_against_is_not_attended_to(family):
    model, rows = small(family), [[9, 10, 11], [12, 13]]
    opening, keys = model.read_prefix([BOS]), model.read_prefix([BOS, 5, 6, 7]).keys
    plainly = model.answer(rows, opening, answer_at=-1, probe_at=-1)
    scored = model.answer(rows, opening, answer_at=-1, probe_at=-1, against=keys)
    assert plainly.scores_against is None
    assert torch.equal(scored.logits, plainly.logits)
    assert torch.equal(scored.scores, plainly.scores)


@every_family
def test_given_weights_act_only_during_the_call(family):
    model, prefix = small(family), [BOS, 4, 5]
    before = model.answer([[9, 10]], model.read_prefix(prefix), answer_at=-1, probe_at=-1).logits
    others = {name: value + 0.5 for name, value in model.tuned_values().items()}
    changed = model.answer(
        [[9, 10]], model.read_prefix(prefix, others), answer_at=-1, probe_at=-1, weights=others
    ).logits
    after = model.answer([[9, 10]], model.read_prefix(prefix), answer_at=-1, probe_at=-1).logits
    assert torch.equal(before, after)
    assert not torch.allclose(before, changed)


def test_calling_the_network_directly_is_refused():
    with pytest.raises(ModelError, match="called directly"):
        small("llama").network(torch.tensor([[BOS, 4]]))


def test_weights_without_numbers_give_an_error():
    model = small("llama")
    broken = {name: torch.full_like(value, torch.nan) for name, value in model.tuned_values().items()}
    with pytest.raises(ModelError, match="not finite"):
        model.answer([[4, 5]], model.read_prefix([BOS]), answer_at=-1, probe_at=-1, weights=broken)


@pytest.mark.parametrize("prefix", [CONTEXT - 3, CONTEXT - 2])
def test_a_prompt_may_fill_the_context_but_not_exceed_it(prefix):
    model = small("gpt2")
    read = model.read_prefix([BOS] * prefix)
    if prefix + 3 <= CONTEXT:
        assert model.answer([[4, 5, 6]], read, answer_at=-1, probe_at=-1).logits.isfinite().all()
        return
    with pytest.raises(PromptError, match=f"at most {CONTEXT} tokens, got {CONTEXT + 1}"):
        model.answer([[4, 5, 6], [4]], read, answer_at=-1, probe_at=-1)


def test_a_prefix_longer_than_the_context_is_refused():
    with pytest.raises(PromptError, match="does not fit the context"):
        small("opt").read_prefix([BOS] * (CONTEXT + 1))


def test_no_pass_is_left_active_after_an_error():
    model = small("llama")
    with pytest.raises(IndexError):
        model.read_prefix([VOCABULARY + 5])
    with pytest.raises(ModelError, match="called directly"):
        model.network(torch.tensor([[BOS]]))
