"""Load a causal language model from a folder, of transformers or of fairseq, with its digest."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, OPTConfig
from transformers.utils import logging as transformers_logging

from icl_claims.errors import ModelError
from icl_claims.models.fairseq import opt_config, opt_name, opt_network, opt_of_xglm, read_fairseq_checkpoint
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.tokens import find_bpe_files, read_fairseq_tokens, token_encoder, xglm_tokens
from icl_claims.storage.files import DigestOf, file_digest

_IDENTITY = ("*.safetensors", "*.bin", "config.json", "tokenizer.json", "vocab.json", "merges.txt", "tokenizer.model")


def load_folder(folder: Path, *, name: str, device: torch.device, dtype: torch.dtype) -> LanguageModel:
    """The model in a folder that `save_pretrained` wrote.

    Raises:
        ModelError: no such folder, no weights in it, damaged weights, or an architecture that is not supported.
    """
    files = checked_files(folder)
    progress_was_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        network: Any
        network, loading = AutoModelForCausalLM.from_pretrained(
            folder,
            attn_implementation="eager",
            dtype=dtype,
            local_files_only=True,
            weights_only=True,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers, safetensors and torch raise errors of many kinds here
        raise ModelError(
            f"The model in {folder} could not be loaded",
            expected="a causal language model of transformers and its tokenizer",
            got=f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no message'])[0][:200]}",
            todo="If the file is truncated, download it again; docs/models.md lists the architectures that were tried.",
        ) from error
    finally:
        if progress_was_on:
            transformers_logging.enable_progress_bar()
    if missing := sorted(loading["missing_keys"]):  # transformers would leave these at random
        raise ModelError(
            f"The weights in {folder} are not all there",
            expected="a value for every parameter that config.json asks for",
            got=f"none for {len(missing)}, among them {missing[0]}",
            todo="Download the checkpoint again.",
        )
    is_xglm = network.config.model_type == "xglm"
    network = opt_of_xglm(network, source=str(folder)) if is_xglm else network
    tokens = xglm_tokens(tokenizer, name) if is_xglm else token_encoder(tokenizer, name)
    return LanguageModel(network.to(device), tokens, name=name, digest=files_digest(files))


def checked_files(folder: Path) -> set[Path]:
    """The weights, the configuration and the tokenizer of a folder of transformers.

    Raises:
        ModelError: it holds no configuration or no weights.
    """
    if not folder.is_dir() or not (folder / "config.json").is_file():
        raise ModelError(
            f"No model lies in {folder}",
            expected="a folder with config.json, weights and a tokenizer",
            got="no such folder" if not folder.is_dir() else "a folder without config.json",
            todo="Name a folder written by save_pretrained: ⟨model⟩ path:DIR.",
        )
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ModelError(
            f"{folder} holds no weights",
            expected="model.safetensors or pytorch_model.bin",
            todo="Download the checkpoint again.",
        )
    return {path for pattern in _IDENTITY for path in folder.glob(pattern)}


def files_digest(paths: Iterable[Path], digest_of: DigestOf = file_digest) -> str:
    """SHA-256 over files, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.name}:{digest_of(path)}\n".encode())
    return digest.hexdigest()


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
    return LanguageModel(network, tokens, name=name, digest=files_digest(fairseq_files(folder)))


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
