"""The logit lens reads the labels from the output of every block, as the head would read the last."""

from __future__ import annotations

import pytest
import torch

from claims.small_transformers import Small, cut_after
from icl_claims.methods import Finetuning, InContext, LayerCausal, ZeroShot
from icl_claims.models.random_models import BOS, EOS, random_model
from icl_claims.tasks.prompts import Demonstrations, Queries

LABELS = (30, 31, 32)
QUERIES = Queries(((20, 21, 22, 30), (23, 24, 25, 26, 30)), LABELS, -2, -1)
SHOWN = Demonstrations.from_rows(BOS, EOS, ((4, 5, 30), (7, 8, 9, 31)))
METHODS = (ZeroShot(), InContext(), Finetuning(0.3), LayerCausal(0.3))
CLOSE = {"atol": 1e-4, "rtol": 1e-3}
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


@every_method
@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "gpt_neox", "gemma3_text"])
def test_the_last_block_says_what_the_model_says(family, method):
    answer = method.learn(random_model(family, 3, 0), SHOWN).answer(QUERIES, lens=True)
    assert answer.lens.shape == (3, 2, 3)
    torch.testing.assert_close(answer.lens[-1], answer.log_probabilities, **CLOSE)


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "gpt_neox"])
def test_every_block_says_what_a_network_that_ends_after_it_says(family):
    small = Small(family, 3, 0)
    answer = InContext().learn(small.model(), SHOWN).answer(QUERIES, lens=True)
    network = small.plain()
    for block in range(3):
        with cut_after(network, small.model().blocks.names, block):
            for query, row in enumerate(QUERIES.rows):
                ids = torch.tensor([[*SHOWN.context, *row]])
                logits = network(ids, use_cache=False).logits[0, QUERIES.answer_at]
                wanted = logits.log_softmax(-1)[list(LABELS)]
                torch.testing.assert_close(answer.lens[block, query], wanted, **CLOSE)


@every_method
def test_looking_changes_nothing_else(method):
    learned = method.learn(random_model("llama", 2, 0), SHOWN)
    seen, unseen = learned.answer(QUERIES, lens=True), learned.answer(QUERIES)
    assert unseen.lens is None
    for name in ("log_probabilities", "attention_outputs", "scores"):
        assert torch.equal(getattr(seen, name), getattr(unseen, name))


def test_an_answer_knows_the_width_of_every_query():
    answer = ZeroShot().learn(random_model("llama", 2, 0), SHOWN).answer(QUERIES)
    assert answer.widths == (4, 5)
    assert answer.scores[:, :, 0, 4].abs().max() == 0
    assert answer.scores[:, :, 0, 3].abs().min() > 0
