"""Task vectors: against transformers' own pass with a hook, on every family, and with what must change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from icl_claims.experiments.progress import packed, unpacked
from icl_claims.methods import Finetuning, InContext, TaskVector, ZeroShot, at_rate
from icl_claims.methods.task_vector import Patched, depths_tried
from icl_claims.models.blocks import hidden_of
from icl_claims.models.random_models import BOS, CONFIGURATIONS, random_model, random_network
from icl_claims.tasks import Demonstrations, Queries

LABEL_IDS = (40, 41)
TEMPLATES = ((5, 9, 11), (6, 7, 8, 12), (9, 9, 4), (13, 8))
SHOWN = Demonstrations(BOS, (2,), TEMPLATES, (0, 1, 1, 0), LABEL_IDS, (2, 0, 3, 1), (0, 1, 2, 3))
ROWS = ((7, 5, 6), (11, 4), (8, 12, 13, 9, 6))
QUERIES = Queries(ROWS, LABEL_IDS, answer_at=-1, probe_at=-1)


def said_by_transformers(network, model, row, layer, state):
    """Log-probabilities of the labels when a hook puts a state behind a block at the last token of one prompt."""

    def put(_module, _inputs, output):
        hidden_of(output)[0, -1] = state

    hook = network.get_submodule(model.blocks.names[layer]).register_forward_hook(put)
    with torch.no_grad():
        logits = network(torch.tensor([[BOS, *row]]), use_cache=False).logits[0, -1]
    hook.remove()
    return logits.log_softmax(-1)[list(LABEL_IDS)]


@pytest.mark.parametrize("family", CONFIGURATIONS)
def test_a_state_is_put_where_transformers_would_have_it(family):
    network, model = random_network(family, 3, 0), random_model(family, 3, 0)
    state = torch.randn(16, generator=torch.Generator().manual_seed(1))
    opening = model.read_prefix([BOS])
    for layer in range(3):
        patched = Patched(model, opening, layer=layer, states={"state": state})
        found = patched.answer(QUERIES).log_probabilities
        wanted = torch.stack([said_by_transformers(network, model, row, layer, state) for row in ROWS])
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def model():
    return random_model("llama", 3, 0)


def zero_shot_states(model, row):
    opening = model.read_prefix([BOS])
    return model.answer([row], opening, answer_at=-1, probe_at=-1, blocks=True).block_outputs


def test_its_own_state_changes_nothing_and_anothers_does(model):
    alone, opening = QUERIES.some([0]), model.read_prefix([BOS])
    before = ZeroShot().learn(model, SHOWN).answer(alone)
    for layer, own in enumerate(zero_shot_states(model, ROWS[0])):
        unmoved = Patched(model, opening, layer=layer, states={"state": own[0]}).answer(alone)
        torch.testing.assert_close(unmoved.log_probabilities, before.log_probabilities)
        other = zero_shot_states(model, ROWS[1])[layer][0]
        moved = Patched(model, opening, layer=layer, states={"state": other}).answer(alone)
        assert (moved.log_probabilities - before.log_probabilities).abs().max() > 1e-3


def test_behind_the_last_block_every_query_gets_one_answer(model):
    opening, state = model.read_prefix([BOS]), zero_shot_states(model, ROWS[1])[-1][0]
    said = Patched(model, opening, layer=2, states={"state": state}).answer(QUERIES).log_probabilities
    torch.testing.assert_close(said, said[:1].expand_as(said))


def test_a_state_at_another_place_is_another_answer(model):
    opening, state = model.read_prefix([BOS]), torch.ones(16)
    patched = Patched(model, opening, layer=1, states={"state": state})
    appended = replace(QUERIES, rows=tuple((*row, LABEL_IDS[0]) for row in ROWS), answer_at=-2)
    torch.testing.assert_close(patched.answer(appended).log_probabilities, patched.answer(QUERIES).log_probabilities)
    beside = patched.answer(replace(appended, answer_at=-1))
    assert (beside.log_probabilities - patched.answer(QUERIES).log_probabilities).abs().max() > 1e-3


def test_the_hook_is_gone_after_an_answer(model):
    before = ZeroShot().learn(model, SHOWN).answer(QUERIES).log_probabilities
    Patched(model, model.read_prefix([BOS]), layer=1, states={"state": torch.ones(16)}).answer(QUERIES)
    torch.testing.assert_close(ZeroShot().learn(model, SHOWN).answer(QUERIES).log_probabilities, before)


def test_the_vector_is_the_state_of_the_last_demonstration_without_its_label(model):
    learned = TaskVector().learn(model, SHOWN)
    assert isinstance(learned, Patched)
    others = replace(SHOWN, context_order=(2, 0, 3))
    prompt = (*others.context, *TEMPLATES[1])
    seen = model.answer([prompt[1:]], model.read_prefix([BOS]), answer_at=-1, probe_at=-1, blocks=True)
    torch.testing.assert_close(learned.states["state"], seen.block_outputs[learned.layer][0], atol=1e-4, rtol=1e-4)


def test_the_block_is_the_one_that_answers_the_other_demonstrations_best(model):
    learned, opening = TaskVector().learn(model, SHOWN), model.read_prefix([BOS])
    others = InContext().learn(model, replace(SHOWN, context_order=(2, 0, 3)))
    seen = model.answer([TEMPLATES[1]], others.prefix, answer_at=-1, probe_at=-1, blocks=True)
    rights = []
    for layer, states in enumerate(seen.block_outputs):
        patched = Patched(model, opening, layer=layer, states={"state": states[0]})
        said = [patched.answer(Queries((TEMPLATES[i],), LABEL_IDS, -1, -1)).log_probabilities[0] for i in (2, 0, 3)]
        labels = [SHOWN.labels[i] for i in (2, 0, 3)]
        right = sum(int(one.argmax()) == label for one, label in zip(said, labels, strict=True))
        true = sum(float(one.log_softmax(0)[label]) for one, label in zip(said, labels, strict=True))
        rights.append((right, true))
    assert learned.layer == max(range(3), key=rights.__getitem__)


def test_the_gaussian_vector_is_as_long_at_the_same_block(model):
    own, gaussian = (TaskVector(state=how).learn(model, SHOWN) for how in ("own", "gaussian"))
    assert own.layer == gaussian.layer
    a, b = own.states["state"], gaussian.states["state"]
    torch.testing.assert_close(a.norm(), b.norm())
    assert torch.cosine_similarity(a, b, dim=0).abs() < 0.9


def test_the_vector_of_finetuning_is_another(model):
    of_finetuning = at_rate(TaskVector(Finetuning()), 0.5)
    assert of_finetuning.of.learning_rate == 0.5
    found = of_finetuning.learn(model, SHOWN)
    assert not found.weights, "the pass that is patched is the model's own"
    own = TaskVector(Finetuning(1e-9)).learn(model, SHOWN)
    alone = zero_shot_states(model, TEMPLATES[1])
    torch.testing.assert_close(own.states["state"], alone[own.layer][0], atol=1e-5, rtol=1e-5)
    assert (found.states["state"] - alone[found.layer][0]).abs().max() > 1e-3


def test_one_demonstration_has_a_vector(model):
    alone = replace(SHOWN, context_order=(1,), learning_order=(1,))
    assert TaskVector().learn(model, alone).layer == 1


def test_what_was_learned_can_be_written_to_a_file(model):
    learned = TaskVector().learn(model, SHOWN)
    again = unpacked(*packed(learned), model)
    torch.testing.assert_close(
        again.answer(QUERIES).log_probabilities, learned.answer(QUERIES).log_probabilities, atol=0, rtol=0
    )


def test_blocks_tried_are_spaced_evenly_and_never_twice():
    assert depths_tried(1) == [0]
    assert all(len(depths_tried(n)) == min(n, 6) and depths_tried(n)[-1] == n - 1 for n in range(1, 60))
