"""Load a transformers causal language model from a folder, with its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from icl_claims.errors import ModelError
from icl_claims.models.attention import registered_attention
from icl_claims.models.fairseq_model import opt_of_xglm
from icl_claims.models.fairseq_tokens import xglm_tokens
from icl_claims.models.families import TITLES
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.tokens import token_encoder
from icl_claims.storage.digests import DigestOf, file_digest

_IDENTITY = ("*.safetensors", "*.bin", "config.json", "tokenizer.json", "vocab.json", "merges.txt", "tokenizer.model")


def load_folder(folder: Path, *, name: str, device: torch.device, dtype: torch.dtype) -> LanguageModel:
    """The model in a folder that `save_pretrained` wrote.

    Raises:
        ModelError: no such folder, no weights in it, damaged weights, or an architecture that is not supported.
    """
    check_folder(folder)
    progress_was_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        network: Any
        network, loading = AutoModelForCausalLM.from_pretrained(
            folder,
            attn_implementation=registered_attention(),
            dtype=dtype,
            local_files_only=True,
            weights_only=True,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers, safetensors and torch raise errors of many kinds here
        raise ModelError(
            f"The model in {folder} could not be loaded",
            expected=f"a causal language model of one of these families: {TITLES}",
            got=f"{type(error).__name__}: {_first_line(error)}",
            todo="If the file is truncated, download it again; if the family is another, use one of those.",
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
    return LanguageModel(network.to(device), tokens, name=name, digest=folder_digest(folder))


def check_folder(folder: Path) -> None:
    """Check that a folder holds a configuration and weights.

    Raises:
        ModelError: it does not.
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


def folder_digest(folder: Path, digest_of: DigestOf = file_digest) -> str:
    """SHA-256 over the weights, the configuration and the tokenizer of a folder, by file name and content."""
    return files_digest({path for pattern in _IDENTITY for path in folder.glob(pattern)}, digest_of)


def files_digest(paths: Iterable[Path], digest_of: DigestOf = file_digest) -> str:
    """SHA-256 over files, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.name}:{digest_of(path)}\n".encode())
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:200]
