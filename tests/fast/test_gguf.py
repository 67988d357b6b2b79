"""A GGUF file gives the model that was written into it, or is refused with what transformers does not read of it."""

from __future__ import annotations

import hashlib
import json
import shutil

import gguf
import numpy as np
import pytest
import torch

from icl_claims.errors import ModelError
from icl_claims.models.random_models import fill_at_random
from icl_claims.models.reference import described, load_model, model_digest
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.encoding import label_tokens

HEADS, KV_HEADS, HIDDEN, INNER, CONTEXT = 4, 2, 32, 64, 64
QUANTISATIONS = {name: gguf.GGMLQuantizationType[name] for name in ("F32", "F16", "Q8_0")}
BLOCK = {
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
    "attn_norm.weight": "input_layernorm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
}
"""What llama.cpp calls the tensors of a block of a Llama."""
SENTENCEPIECE = ["<unk>", "<s>", "</s>", *"▁SentcLablN/ApPoivg:"]
MERGED = ["▁N", "▁Ne", "▁Neg", "▁Nega", "▁Negat", "▁Negati", "▁Negativ", "▁Negative"]
MERGED += ["▁P", "▁Po", "▁Pos", "▁Posi", "▁Posit", "▁Positi", "▁Positiv", "▁Positive"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def vocabulary():
    return list(dict.fromkeys([*SENTENCEPIECE, "s", *MERGED]))


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": 2, "vocab_size": len(vocabulary())}
    heads = {"num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "rms_norm_eps": 2**-17}
    network = LlamaForCausalLM(LlamaConfig(**shape, **heads, max_position_embeddings=CONTEXT))
    fill_at_random(network, 0)
    return network.eval()


def interleaved(weight, heads):
    """Rows of a query or key projection in llama.cpp's order: the halves of every head are interleaved."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def tensors_of(network):
    """The tensors of a Llama under their names and in their order in llama.cpp."""
    state = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    yield "token_embd.weight", state["model.embed_tokens.weight"]
    yield "output_norm.weight", state["model.norm.weight"]
    yield "output.weight", state["lm_head.weight"]
    for layer in range(network.config.num_hidden_layers):
        for name, ours in BLOCK.items():
            weight = state[f"model.layers.{layer}.{ours}"]
            if name in ("attn_q.weight", "attn_k.weight"):
                weight = interleaved(weight, HEADS if name == "attn_q.weight" else KV_HEADS)
            yield f"blk.{layer}.{name}", weight


def add_words(writer, split):
    """The vocabulary, as SentencePiece has it; or, where texts are split in some way, as byte-level BPE has it."""
    words = [word.replace("▁", "Ġ") if split else word for word in vocabulary()]
    writer.add_tokenizer_model("gpt2" if split else "llama")
    writer.add_token_list(words)
    writer.add_token_types([2, 3, 3, *[1] * (len(words) - 3)])
    if split:
        writer.add_tokenizer_pre(split)
        writer.add_token_merges([f"{word[:-1]} {word[-1]}" for word in words if word[0] == "Ġ" and word != "Ġ"])
    else:
        writer.add_token_scores([float(-index) for index in range(len(words))])


def write(path, network, kind="F32", fields=(), left_out=(), architecture="llama", more=(), split=None):
    """A GGUF file as llama.cpp writes one; gives its path and the weights that it holds, by their names in it."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(network.config.num_hidden_layers)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(network.config.rms_norm_eps)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(vocabulary()))
    add_words(writer, split)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for name, value in dict(fields).items():
        {str: writer.add_string, float: writer.add_float32, int: writer.add_uint32, bool: writer.add_bool}[type(value)](
            name, value
        )
    held = {}
    for name, weight in [*tensors_of(network), *more]:
        if name not in left_out:
            quantised = QUANTISATIONS["F32" if weight.ndim == 1 else kind]
            raw = gguf.quantize(np.ascontiguousarray(weight), quantised)
            held[name] = gguf.dequantize(raw, quantised).reshape(weight.shape)
            writer.add_tensor(name, raw, raw_dtype=quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, held


@pytest.fixture(scope="module")
def network():
    return llama()


def load(path, **how):
    return load_model(f"gguf:{path}", device="cpu", **how)


def refuse(path, match):
    with pytest.raises(ModelError, match=match) as found:
        load(path)
    return str(found.value)


@pytest.mark.parametrize("kind", QUANTISATIONS)
def test_a_file_gives_the_model_in_it_de_quantised(tmp_path, network, kind):
    path, held = write(tmp_path / "model.gguf", network, kind)
    model = load(path)
    loaded = {name: torch.from_numpy(weight) for name, weight in tensors_of(model.network)}
    assert all(torch.equal(loaded[name], torch.from_numpy(weight)) for name, weight in held.items())
    ids, stock = [1, 5, 9, 4, 30], llama()
    with torch.no_grad():
        wanted = stock(torch.tensor([ids]), use_cache=False).logits[0]
    tolerance = {"F32": 1e-5, "F16": 2e-3, "Q8_0": 0.05}[kind]
    assert (model.sequence_logits(ids) - wanted).abs().max() < tolerance * wanted.std() * 3


def test_its_tokenizer_asks_with_whole_words(tmp_path, network):
    tokens = load(write(tmp_path / "model.gguf", network)[0]).tokens
    assert (tokens.bos, tokens.separator, tokens.unknown) == (1, 2, frozenset({0}))
    assert tokens.names(label_tokens(TASKS["sst2"], tokens)) == ["▁Negative", "▁Positive"]


def test_a_file_is_known_by_its_bytes_and_made_once(tmp_path, network, cache):
    path, _ = write(tmp_path / "model.gguf", network, "Q8_0")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    said = []
    digest = load(path, say=said.append).digest
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "tokenizer_config.json").write_text('{"eos_token": "<s>"}')
    again = shutil.copy(path, tmp_path / "elsewhere" / "other.gguf")
    assert load(again, say=said.append).digest == model_digest(f"gguf:{again}") == digest
    assert [text.split()[0] for text in said] == ["De-quantising"]
    assert (cache / f"gguf-{sha256}").is_dir()
    assert described(f"gguf:{again}") == f"gguf:{again}: llama, Q8_0, F32, SHA-256 {sha256[:12]}"


def test_another_quantisation_is_another_model(tmp_path, network):
    digests = [model_digest(f"gguf:{write(tmp_path / kind, network, kind)[0]}") for kind in QUANTISATIONS]
    assert len(set(digests)) == len(digests)


def test_what_is_cached_does_not_depend_on_transformers_version(tmp_path, network, cache):
    load(write(tmp_path / "model.gguf", network)[0])
    configs = list(cache.glob("gguf-*/*config.json"))
    assert {"config.json", "tokenizer_config.json"} <= {path.name for path in configs}
    assert not any("transformers_version" in json.loads(path.read_text()) for path in configs)


def test_damaged_weights_in_the_cache_are_refused(tmp_path, network, cache):
    path, _ = write(tmp_path / "model.gguf", network)
    load(path)
    [weights] = cache.glob("gguf-*/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    refuse(path, "cached weights in .* are damaged.* Delete that folder")


# Refusals


def test_a_missing_file_is_refused(tmp_path):
    refuse(tmp_path / "nowhere.gguf", r"No GGUF file can be read at .*nowhere.gguf.*FileNotFoundError")
    refuse(tmp_path, "IsADirectoryError.* Name a file: model gguf:FILE")


@pytest.mark.parametrize("content", [b"", b"GGUF", b"PK\3\4 a wheel", b"GGUF\3\0\0\0" + b"\xff" * 60])
def test_a_file_of_another_kind_is_refused(tmp_path, cache, content):
    (tmp_path / "model.gguf").write_bytes(content)
    refuse(tmp_path / "model.gguf", "is not a GGUF file that can be read.* Download it again")
    assert not [path for path in cache.iterdir() if path.is_dir() and path.name != "digests"]


@pytest.mark.parametrize("left", [0.999, 0.5, 0.01])
def test_a_truncated_file_is_refused(tmp_path, network, left):
    path, _ = write(tmp_path / "model.gguf", network)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * left)])
    refuse(path, "is not a GGUF file that can be read")


def test_an_architecture_unknown_to_transformers_is_refused(tmp_path, network):
    path, _ = write(tmp_path / "model.gguf", network, architecture="rwkv7")
    assert "path:DIR" in refuse(path, "transformers cannot de-quantise .* got rwkv7: ValueError: .*rwkv7")


def test_weights_that_are_missing_are_refused(tmp_path, network):
    path, _ = write(tmp_path / "model.gguf", network, left_out=["blk.1.ffn_up.weight"])
    refuse(path, "not all there: .* among them model.layers.1.mlp.up_proj.weight")


@pytest.mark.parametrize(
    ("name", "shape"), [("rope_freqs.weight", (4,)), ("blk.0.attn_q.bias", (HIDDEN,)), ("blk.2.ffn_up.weight", (8, 32))]
)
def test_weights_that_transformers_drops_are_refused(tmp_path, network, name, shape):
    path, _ = write(tmp_path / "model.gguf", network, more=[(name, np.ones(shape, np.float32))])
    refuse(path, f"does not read all of .* got {np.prod(shape)} weights without a place")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("llama.rope.scaling.type", "linear"),
        ("llama.rope.scaling.factor", 4.0),
        ("llama.attention.sliding_window", 16),
        ("llama.attention.key_length", 16),
        ("llama.logit_scale", 2.0),
        ("tokenizer.ggml.add_space_prefix", False),
    ],
)
def test_fields_that_transformers_drops_are_refused(tmp_path, network, name, value):
    path, _ = write(tmp_path / "model.gguf", network, fields={name: value})
    refuse(path, f"does not read all of .* got {name} = {value}")


def test_fields_that_say_what_is_so_anyway_are_no_matter(tmp_path, network):
    same = {"llama.rope.scaling.type": "none", "llama.attention.key_length": HIDDEN // HEADS}
    assert load(write(tmp_path / "model.gguf", network, fields=same)[0]).layers == 2


def test_texts_that_are_split_in_an_unknown_way_are_refused(tmp_path, network):
    tokens = load(write(tmp_path / "known.gguf", network, split="gpt-2")[0]).tokens
    assert tokens.names(label_tokens(TASKS["sst2"], tokens)) == ["ĠNegative", "ĠPositive"]
    refuse(
        write(tmp_path / "unknown.gguf", network, split="as nobody else")[0], "got tokenizer.ggml.pre = as nobody else"
    )
