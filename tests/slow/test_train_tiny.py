"""The script that trained the small model: a shortened run is reproducible from its seed, and learns.

The whole run takes about 20 minutes on one busy core, and is not made here. A second one from the same seed gave the
weights in `fixtures/tiny` to the last bit, on the same machine; `tests/fast/test_tiny_profile.py` holds them to their
accuracies.
"""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from icl_claims.models.tokens import token_encoder
from icl_claims.tasks.catalogue import PAPERS_TASKS
from icl_claims.tasks.examples import Draw
from icl_claims.tasks.prompts import build_prompts
from icl_claims.tasks.sources import synthetic_task

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="module")
def script():
    """The training script as a module."""
    spec = importlib.util.spec_from_file_location("train_tiny", FIXTURES / "train_tiny.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_tiny"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["train_tiny"]


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained(script, seed, steps, stages=None):
    """Weights after some steps of every stage, and what was said of it."""
    tokenizer, said = script.make_tokenizer(), []
    network = script.make_network(len(tokenizer), seed)
    curriculum = [replace(stage, steps=(steps, steps), tokens=stage.tokens // 2) for stage in script.CURRICULUM]
    script.train(network, script.Corpus(tokenizer), seed, curriculum[:stages], say=said.append)
    return network, said


def same(one, other):
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_the_same_seed_gives_the_same_weights_to_the_last_bit(script, one_thread):
    one, said = trained(script, seed=5, steps=3)
    again, _ = trained(script, seed=5, steps=3)
    other, _ = trained(script, seed=6, steps=3)
    assert same(one, again)
    assert not same(one, other)
    assert len(said) == len(script.CURRICULUM)


def test_a_short_run_predicts_repeated_tokens_above_chance(script, one_thread):
    share = [float(trained(script, 0, steps, stages=1)[1][-1].split()[1]) for steps in (5, 150)]
    assert share[0] < 0.05
    assert share[1] > 0.15, "one token in nine, on average, when any of those that were seen is guessed"


def test_what_is_saved_loads_again_and_is_small(script, one_thread, tmp_path):
    network, _ = trained(script, seed=0, steps=1)
    exact = {name: value.clone() for name, value in network.state_dict().items()}
    script.save(network, script.make_tokenizer(), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2e6
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, exact[name], rtol=1e-3, atol=1e-5)


def test_the_script_makes_the_committed_model_and_tokenizer(script):
    committed = load_file(FIXTURES / "tiny" / "model.safetensors")
    tokenizer = script.make_tokenizer()
    made = script.make_network(len(tokenizer), 0).state_dict()
    assert {name: value.shape for name, value in committed.items()} == {n: v.shape for n, v in made.items()}
    assert AutoTokenizer.from_pretrained(FIXTURES / "tiny").get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize("name", PAPERS_TASKS)
def test_prompts_of_training_are_built_like_those_of_trials(script, name, monkeypatch):
    """The same tokens in the same places, but for the words that were drawn."""
    monkeypatch.setattr(script, "PAPERS_TASKS", (name,))
    tokenizer = script.make_tokenizer()
    corpus = script.Corpus(tokenizer)
    stage = replace(script.CURRICULUM[-1], own_labels=1.0)
    tokens, is_answer = corpus.draw(np.random.default_rng(0), stage)
    encoder = token_encoder(tokenizer, "tiny")
    trial = build_prompts(synthetic_task(name), encoder, Draw(k=16, queries=1), context_length=script.CONTEXT)

    def demonstrations(ids):
        texts, rest = [], list(ids)[1:]
        while encoder.separator in rest:
            end = rest.index(encoder.separator)
            texts.append(rest[:end])
            rest = rest[end + 1 :]
        return texts

    def frames(texts):
        """What stands around the invented words, without the label word."""
        invented = set(corpus.words.tolist())
        return {tuple(i for i in text[:-1] if i not in invented) for text in texts}

    drawn, shown = demonstrations(tokens[0].tolist()), demonstrations(trial.demonstrations.context)
    assert tokens[0, 0] == trial.demonstrations.context[0] == script.BOS
    assert (len(drawn), len(shown)) == (17, 16)
    assert frames(drawn) == frames(shown)
    assert len(frames(shown)) == 1
    assert {text[-1] for text in drawn + shown} == set(tokens[is_answer]) == set(trial.queries.label_ids)
