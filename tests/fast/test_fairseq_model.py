"""fairseq's dense models and XGLM answer as they do at home, and models that are something else are refused."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
from argparse import Namespace
from dataclasses import replace

import huggingface_hub
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast, XGLMConfig, XGLMForCausalLM

from icl_claims.errors import ModelError
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.methods import Finetuning, InContext, LayerCausal
from icl_claims.models.fairseq import sinusoidal_table
from icl_claims.models.random_models import fill_at_random
from icl_claims.models.reference import load_model
from icl_claims.tasks.prompts import Demonstrations, Queries

FOLDER = fixtures_folder() / "fairseq"
ANSWERS = json.loads((FOLDER / "oracle.json").read_text(encoding="utf-8"))["answers"]
SHOWN = replace(Demonstrations.from_rows(0, 2, ((5, 6), (7, 8, 9))), context_order=(0,))


@pytest.fixture
def folder(tmp_path):
    for name in ("model.pt", "dict.txt", "encoder.json", "vocab.bpe"):
        shutil.copy(FOLDER / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def changed(folder):
    """A folder whose options and tensors are changed."""

    def change(options=None, tensors=None, without=()):
        with torch.serialization.safe_globals([Namespace]):
            state = torch.load(folder / "model.pt", weights_only=True)
        state["cfg"]["model"].update(options or {})
        state["model"].update(tensors or {})
        for name in without:
            state["model"].pop(name, state["cfg"]["model"].pop(name, None))
        torch.save(state, folder / "model.pt")
        return folder

    return change


def load(folder, **how):
    return load_model(f"fairseq:{folder}", device="cpu", **how)


def refuse(folder, match, todo=""):
    start = time.process_time()
    with pytest.raises(ModelError, match=match) as found:
        load(folder)
    assert time.process_time() - start < 1
    assert todo in str(found.value)


@pytest.mark.parametrize("layout", ["model.pt", "model_args.pt"])
@pytest.mark.parametrize("told", ANSWERS, ids=lambda told: f"{len(told['row'])} tokens")
def test_both_layouts_answer_as_fairseq_does(folder, layout, told):
    shutil.copy(FOLDER / layout, folder / "model.pt")
    model, row = load(folder), told["row"]
    torch.testing.assert_close(model.sequence_logits(row), torch.tensor(told["logits"]), atol=1e-5, rtol=0)
    last = model.answer([row[1:]], model.read_prefix(row[:1]), answer_at=-1, probe_at=-1)
    wanted = torch.tensor(told["attention_outputs"])[:, -1]
    torch.testing.assert_close(last.attention_outputs[:, 0], wanted, atol=1e-5, rtol=0)


def test_every_position_has_the_attention_outputs_of_fairseq():
    model, told = load(FOLDER), ANSWERS[1]
    for end in range(2, len(told["row"]) + 1):
        row = told["row"][:end]
        seen = model.answer([row[1:]], model.read_prefix(row[:1]), answer_at=-1, probe_at=-1)
        wanted = torch.tensor(told["attention_outputs"])[:, end - 1]
        torch.testing.assert_close(seen.attention_outputs[:, 0], wanted, atol=1e-5, rtol=0)


def test_the_context_is_the_checkpoints_and_the_name_the_readers(folder):
    model = load(folder)
    assert (model.context_length, model.layers, model.name) == (64, 3, f"fairseq:{folder}")


def test_without_target_positions_a_sample_is_the_context(changed):
    assert load(changed({"max_target_positions": None, "tokens_per_sample": 40})).context_length == 40


@pytest.mark.parametrize("name", ["model.pt", "dict.txt", "encoder.json", "vocab.bpe"])
def test_the_digest_changes_with_every_file(folder, name):
    before = load(folder).digest
    if name == "model.pt":
        shutil.copy(FOLDER / "model_args.pt", folder / name)
    elif name == "encoder.json":
        (folder / name).write_text((folder / name).read_text(encoding="utf-8") + " ", encoding="utf-8")
    else:
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace(" 0\n", " 1\n", 1) if name == "dict.txt" else text.rstrip())
    assert load(folder).digest != before


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_it_is_loaded_in_half_precision_from_any_dtype(dtype):
    model = load(FOLDER, dtype=dtype)
    logits = model.sequence_logits(ANSWERS[0]["row"])
    assert logits.dtype == getattr(torch, dtype)
    torch.testing.assert_close(logits.float(), torch.tensor(ANSWERS[0]["logits"]), atol=0.5, rtol=0.05)


@pytest.mark.parametrize("method", [InContext(), Finetuning(0.01), LayerCausal(0.01)], ids=lambda method: method.name)
def test_methods_learn_and_answer(method):
    answer = method.learn(load(FOLDER), SHOWN).answer(Queries(((7, 8), (4, 9, 5)), (5, 6), -2, -1))
    assert answer.attention_outputs.shape == (3, 2, 32)
    assert torch.isfinite(answer.log_probabilities).all()


# Refusals


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"decoder_normalize_before": False}, "decoder_normalize_before .* expected True, got False"),
        ({"no_decoder_final_norm": True}, "no_decoder_final_norm"),
        ({"decoder_learned_pos": True}, "decoder_learned_pos"),
        ({"no_token_positional_embeddings": True}, "no_token_positional_embeddings"),
        ({"adaptive_input": True}, "adaptive_input"),
        ({"activation_fn": "swish"}, "activation_fn .* expected gelu or relu, got 'swish'"),
        ({"activation_fn": ["gelu"]}, "activation_fn"),
        ({"decoder_layers": 10**9}, "decoder_layers .* from 1 to 1000, got 1000000000"),
        ({"decoder_layers": "three"}, "decoder_layers"),
        ({"decoder_layers": True}, "decoder_layers"),
        ({"max_target_positions": 10**12}, "max_target_positions .* got 1000000000000"),
        ({"max_target_positions": -1}, "max_target_positions"),
        ({"decoder_embed_dim": 10**9}, "decoder_embed_dim"),
        ({"decoder_ffn_embed_dim": 49}, r"layers.0.fc1.weight of another shape: expected \(49, 32\), got \(48, 32\)"),
        ({"decoder_layers": 4}, "lacks layers.3.self_attn.q_proj.weight"),
        ({"decoder_layers": 2}, "tensors without a place in a dense decoder.* got layers.2.fc1.bias"),
        ({"decoder_attention_heads": 5}, "has 5 heads: expected a divisor of 32"),
    ],
)
def test_options_that_ask_for_another_model_are_refused_by_name(changed, options, match):
    refuse(changed(options), match)


@pytest.mark.parametrize("name", ["decoder_layers", "decoder_attention_heads", "activation_fn"])
def test_a_missing_option_is_refused_by_name(changed, name):
    refuse(changed(without=[name]), f"{name} .* got None")


@pytest.mark.parametrize("shape", [(3,), (288, 31), (287, 32), (0, 32), ()])
def test_an_embedding_of_another_shape_is_refused(changed, shape):
    folder = changed(tensors={"decoder.embed_tokens.weight": torch.zeros(shape)})
    refuse(folder, r"embed_tokens.weight of another shape: expected \(288, 32\)", todo="dict.txt")


def test_a_dictionary_of_another_size_is_refused(folder):
    (folder / "dict.txt").write_text("1 1\n", encoding="utf-8")
    refuse(folder, r"embed_tokens.weight of another shape: expected \(5, 32\), got \(288, 32\)", todo="dict.txt")


@pytest.mark.parametrize("name", ["embed_tokens.weight", "layers.1.fc2.bias", "layer_norm.weight"])
def test_a_missing_tensor_is_refused_by_name(changed, name):
    refuse(changed(without=[f"decoder.{name}"]), f"lacks .*{name}")


def test_an_unknown_tensor_is_refused_by_name(changed):
    refuse(changed(tensors={"decoder.layers.0.moe_layer.gate": torch.ones(1)}), "got layers.0.moe_layer.gate")


@pytest.mark.parametrize(("version", "got"), [([1.0], "1.0"), ([2.0], "2.0"), ([3.0, 3.0], "3.0, 3.0")])
def test_a_version_without_a_final_norm_is_refused(changed, version, got):
    refuse(
        changed(tensors={"decoder.version": torch.tensor(version)}), rf"decoder.version .* expected 3.* got \[{got}\]"
    )


def test_a_checkpoint_without_a_version_is_refused(changed):
    refuse(changed(without=["decoder.version"]), "decoder.version .* got none")


def test_a_head_that_is_not_the_tied_embedding_is_refused(changed):
    folder = changed(tensors={"decoder.output_projection.weight": torch.zeros(288, 32)})
    refuse(folder, "head other than the embedding that it shares")


def test_a_head_that_is_not_stored_is_the_embedding(changed):
    folder = changed(without=["decoder.output_projection.weight"])
    wanted = torch.tensor(ANSWERS[0]["logits"])
    torch.testing.assert_close(load(folder).sequence_logits(ANSWERS[0]["row"]), wanted, atol=1e-5, rtol=0)


def test_weights_without_numbers_are_refused(changed):
    refuse(changed(tensors={"decoder.layers.0.fc2.bias": torch.full((32,), float("nan"))}), "not finite")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    refuse(tmp_path / "nowhere", "No checkpoint lies at")


# Positions


def test_positions_are_sines_then_cosines():
    table = sinusoidal_table(10, 6)
    assert table.shape == (12, 6)
    position = torch.tensor([2.0, 0.02, 0.0002])
    torch.testing.assert_close(table[2], torch.cat([position.sin(), position.cos()]))


def test_an_odd_last_column_is_zero():
    assert not sinusoidal_table(4, 5)[:, -1].any()


# XGLM


def stock_xglm():
    config = XGLMConfig(
        vocab_size=9, d_model=16, ffn_dim=24, num_layers=2, attention_heads=4, max_position_embeddings=32
    )
    with torch.random.fork_rng():
        network = XGLMForCausalLM(config)
    fill_at_random(network, 0)
    return network.eval()


def stock_logits(row):
    with torch.no_grad():
        return stock_xglm()(torch.tensor([row]), use_cache=False).logits[0]


@pytest.fixture
def xglm(tmp_path):
    stock_xglm().save_pretrained(tmp_path)
    words = {"<s>": 0, "<pad>": 1, "</s>": 2, "warm": 3, "dull": 4}
    model = Tokenizer(WordLevel(words, unk_token="<pad>"))
    model.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=model, bos_token="<s>", eos_token="</s>").save_pretrained(tmp_path)
    return tmp_path


def test_an_xglm_folder_answers_as_transformers_own_xglm(xglm):
    model, row = load_model(f"path:{xglm}", device="cpu"), [0, 3, 4, 2, 8, 5, 3]
    wanted = stock_logits(row)
    torch.testing.assert_close(model.sequence_logits(row), wanted, atol=1e-5, rtol=0)
    last = model.answer([row[4:]], model.read_prefix(row[:4]), answer_at=-1, probe_at=-1)
    torch.testing.assert_close(last.logits[0], wanted[-1], atol=1e-5, rtol=0)
    assert (model.context_length, model.layers, len(model.tuned_parameters)) == (32, 2, 8)


def test_an_xglm_folder_reads_lines_as_fairseq_does(xglm):
    tokens = load_model(f"path:{xglm}", device="cpu").tokens
    assert (tokens.bos, tokens.separator, tokens.encode("warm\n\ndull")) == (0, 2, (3, 2, 4))


def test_an_older_pickled_xglm_is_fetched_from_the_hub(xglm, tmp_path_factory, monkeypatch):
    cache, asked = tmp_path_factory.mktemp("cache"), []
    torch.save(stock_xglm().state_dict(), xglm / "pytorch_model.bin")
    (xglm / "model.safetensors").unlink()

    def snapshot(_name, allow_patterns):
        asked.append(allow_patterns)
        for path in (path for pattern in allow_patterns for path in xglm.glob(pattern)):
            shutil.copy(path, cache)
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    model = load_model("hub:somebody/fairseq-dense", device="cpu")
    assert asked[1:] == [["pytorch_model*.bin"]]
    torch.testing.assert_close(model.sequence_logits([0, 3]), stock_logits([0, 3]), atol=1e-5, rtol=0)


def refuse_path(folder, match):
    start = time.process_time()
    with pytest.raises(ModelError, match=match):
        load_model(f"path:{folder}", device="cpu")
    assert time.process_time() - start < 1


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_weights_that_call_a_function_are_refused_not_run(xglm):
    (xglm / "model.safetensors").unlink()
    torch.save({"model.embed_tokens.weight": Calls(os.mkdir, str(xglm / "proof"))}, xglm / "pytorch_model.bin")
    refuse_path(xglm, "could not be loaded")
    assert not (xglm / "proof").exists()


@pytest.mark.parametrize("claimed", [10 * 2**30, 2**63, 90 * 2**20], ids=["10 GB", "2^63 bytes", "90 MB"])
def test_a_header_that_claims_more_than_the_file_is_refused(xglm, claimed):
    content = (xglm / "model.safetensors").read_bytes()
    (xglm / "model.safetensors").write_bytes(struct.pack("<Q", claimed) + content[8:])
    refuse_path(xglm, "could not be loaded: .* Safetensor")


def test_a_tensor_that_claims_10_gigabytes_is_refused(xglm):
    header = json.dumps({"w": {"dtype": "F32", "shape": [10 * 2**28], "data_offsets": [0, 10 * 2**30]}}).encode()
    (xglm / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    refuse_path(xglm, "could not be loaded: .* Safetensor")
