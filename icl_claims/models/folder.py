"""Load a causal language model from a folder, of transformers or of fairseq, with its digest."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, OPTConfig
from transformers.utils import logging as transformers_logging

from icl_claims.errors import ModelError
from icl_claims.models.fairseq import opt_config, opt_name, opt_network, opt_of_xglm, read_fairseq_checkpoint
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.tokens import (
    TokenEncoder,
    check_vocabulary,
    find_bpe_files,
    fingerprint,
    read_fairseq_tokens,
    token_encoder,
    xglm_tokens,
)
from icl_claims.storage.files import DigestOf, file_digest, remembered, remembered_digest

ABOUT = ("*.json", "*.txt", "*.model")
"""Files of a folder of transformers beside the weights; any of them can change a prompt or what the weights mean."""
_VOCABULARIES = ("tokenizer.json", "vocab.*", "tekken.json", "*.model")


def load_folder(folder: Path, *, name: str, device: torch.device, dtype: torch.dtype) -> LanguageModel:
    """The model in a folder that `save_pretrained` wrote.

    Raises:
        ModelError: no such folder, no weights or no tokenizer in it, damaged weights or others than the configuration
            asks for, or an architecture that is not supported.
    """
    files = checked_files(folder)
    network: Any
    try:
        with without_progress_bars():
            network, loading = AutoModelForCausalLM.from_pretrained(
                folder,
                attn_implementation="eager",
                dtype=dtype,
                local_files_only=True,
                weights_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # transformers, safetensors and torch raise errors of many kinds here
        raise ModelError(
            f"The model in {folder} could not be loaded",
            expected="a causal language model of transformers",
            got=first_line(error),
            todo="If the file is truncated, download it again; docs/models.md lists the architectures that were tried.",
        ) from error
    check_weights(loading, str(folder))
    tokens = read_tokens(folder, name)
    check_vocabulary(tokens, network.get_input_embeddings().weight.shape[0], name)
    if network.config.model_type == "xglm":
        network = opt_of_xglm(network, source=str(folder))
    return LanguageModel(network.to(device), tokens, name=name, digest=files_digest(files, fingerprint(tokens)))


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """While open, transformers shows no progress bar."""
    progress_was_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if progress_was_on:
            transformers_logging.enable_progress_bar()


def first_line(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no message'])[0][:200]}"


def check_weights(loading: Mapping[str, Any], source: str) -> None:
    """Check that transformers found one value for every parameter, and no value without one.

    Raises:
        ModelError: some are missing, which transformers would leave at random, or left over, which it would drop.
    """
    for keys, problem, got in (
        (loading["missing_keys"], "are not all there", "none for {}, among them {}"),
        (loading["unexpected_keys"], "have no place in the model that config.json describes", "{} more, among them {}"),
    ):
        if keys:
            raise ModelError(
                f"The weights in {source} {problem}",
                expected="a value for every parameter that config.json asks for, and no other",
                got=got.format(len(keys), min(keys)),
                todo="Download the checkpoint again, with the config.json that belongs to it.",
            )


def read_tokens(folder: Path, name: str) -> TokenEncoder:
    """The encoder of the tokenizer in a folder of transformers.

    Raises:
        ModelError: it cannot be read, or has no end-of-text token.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except Exception as error:  # transformers and tokenizers raise errors of many kinds here
        raise ModelError(
            f"The tokenizer in {folder} could not be read",
            expected="one that transformers can load",
            got=first_line(error),
            todo="Download its files again.",
        ) from error
    return (xglm_tokens if config.get("model_type") == "xglm" else token_encoder)(tokenizer, name)


def checked_files(folder: Path) -> set[Path]:
    """The weights, the configuration and the tokenizer of a folder of transformers.

    Raises:
        ModelError: it holds no configuration, no weights or no tokenizer, or an adapter of some base model.
    """
    if not folder.is_dir():
        raise _incomplete(
            folder, "No model lies", "no such folder", "Name one that save_pretrained wrote: ⟨model⟩ path:DIR"
        )
    if any(folder.glob("adapter_config.json")) or any(folder.glob("adapter_model.*")):
        merge = "Merge it into its base model (merge_and_unload of peft, then save_pretrained), or move it elsewhere"
        raise _incomplete(folder, "An adapter lies", "adapter_config.json or adapter_model.*", merge)
    if not (folder / "config.json").is_file():
        raise _incomplete(folder, "No model lies", "a folder without config.json", "Name the model's own folder")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        found = "neither model.safetensors nor pytorch_model.bin"
        raise _incomplete(folder, "No weights lie", found, "Download the checkpoint again")
    if not any(path for pattern in _VOCABULARIES for path in folder.glob(pattern)):
        found = "neither tokenizer.json nor tokenizer.model nor vocab.json"
        raise _incomplete(folder, "No tokenizer lies", found, "Save the model's own tokenizer there")
    return {path for pattern in ("*.safetensors", "*.bin", *ABOUT) for path in folder.glob(pattern)}


def _incomplete(folder: Path, problem: str, got: str, todo: str) -> ModelError:
    wanted = "a folder with config.json, all weights and a tokenizer"
    return ModelError(f"{problem} in {folder}", expected=wanted, got=got, todo=f"{todo}.")


def files_digest(paths: Iterable[Path], written: str, digest_of: DigestOf = file_digest) -> str:
    """SHA-256 over files, by name and content, and over the fingerprint of what their tokenizer does."""
    digest = hashlib.sha256(written.encode())
    for path in sorted(paths):
        digest.update(f"{path.name}:{digest_of(path)}\n".encode())
    return digest.hexdigest()


def digest_of_folder(folder: Path, *, is_fairseq: bool) -> str:
    """The digest that the model in a folder has when it is loaded; weights that were read before are not read again.

    Raises:
        ModelError: files are missing, or the tokenizer cannot be read.
        OSError: a file cannot be read.
    """
    files = fairseq_files(folder) if is_fairseq else checked_files(folder)
    about = files_digest(files, f"{transformers.__version__} {tokenizers.__version__}", remembered_digest)

    def made() -> str:
        return fingerprint(read_fairseq_tokens(folder)[0] if is_fairseq else read_tokens(folder, str(folder)))

    return files_digest(files, remembered(about, made), remembered_digest)


ACTIVATIONS = ("gelu", "relu")
NEEDED_OPTIONS = {
    "decoder_normalize_before": True,
    "no_decoder_final_norm": False,
    "decoder_learned_pos": False,
    "no_token_positional_embeddings": False,
    "adaptive_input": False,
    "character_embeddings": False,
}
WITHOUT_WEIGHT = (".version", "._float_tensor", "embed_positions.weights")


def load_fairseq(folder: Path, *, name: str, device: torch.device, dtype: torch.dtype) -> LanguageModel:
    """The dense language model of a fairseq folder, in this dtype whatever the checkpoint stores.

    Raises:
        ModelError: a file is missing, damaged or malicious, or the model is not a dense pre-norm decoder.
    """
    path = folder / "model.pt"
    options, tensors = read_fairseq_checkpoint(path)
    tokens, types = read_fairseq_tokens(folder)
    config = _config_of_options(options, types, path)
    version = tensors.get("decoder.version")
    if version is None or version.numel() != 1 or not float(version) >= 3:  # fairseq leaves that norm out
        got = "none" if version is None else str(version.tolist())
        raise _unsupported(path, "decoder.version", "3, which normalizes after the last block", got)
    weights = (key for key in tensors if not key.endswith(WITHOUT_WEIGHT))
    network = opt_network(
        config,
        {opt_name(key.removeprefix("decoder.")): tensors[key] for key in weights},
        scaled=not options.get("no_scale_embedding", False),
        shared=bool(options.get("share_decoder_input_output_embed", False)),
        device=device,
        dtype=dtype,
        source=str(path),
    )
    digest = files_digest(fairseq_files(folder), fingerprint(tokens))
    return LanguageModel(network, tokens, name=name, digest=digest)


def fairseq_files(folder: Path) -> set[Path]:
    """The checkpoint, the dictionary and the BPE files of a fairseq folder.

    Raises:
        ModelError: a BPE file is missing.
    """
    return {folder / "model.pt", folder / "dict.txt", *find_bpe_files(folder)}


def _config_of_options(options: Mapping[str, Any], types: int, path: Path) -> OPTConfig:
    """The shape in fairseq's options and the size of the dictionary; only that of a dense pre-norm decoder."""
    for option, needed in NEEDED_OPTIONS.items():
        if (got := options.get(option, needed)) != needed:
            raise _unsupported(path, option, str(needed), repr(got))
    activation = options.get("activation_fn")
    if activation not in ACTIVATIONS:
        raise _unsupported(path, "activation_fn", " or ".join(ACTIVATIONS), repr(activation))
    context = "max_target_positions" if options.get("max_target_positions") is not None else "tokens_per_sample"

    def number(option: str, most: int) -> int:
        value = options.get(option)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise _unsupported(path, option, f"a number from 1 to {most}", repr(value))
        return value

    return opt_config(
        num_hidden_layers=number("decoder_layers", 1000),
        num_attention_heads=number("decoder_attention_heads", 1000),
        hidden_size=number("decoder_embed_dim", 2**20),
        ffn_dim=number("decoder_ffn_embed_dim", 2**20),
        vocab_size=types,
        max_position_embeddings=number(context, 2**17),
        activation_function=activation,
    )


def _unsupported(path: Path, option: str, expected: str, got: str) -> ModelError:
    return ModelError(
        f"{path} was made with {option} that cannot be loaded",
        expected=expected,
        got=got,
        todo="Only dense decoders with pre-norm blocks and sinusoidal positions are OPT models in disguise.",
    )
