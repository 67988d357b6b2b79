"""Load a transformers causal language model from a folder, with its digest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from icl_claims.errors import ModelError
from icl_claims.models.attention import NAME
from icl_claims.models.language_model import FAMILIES, LanguageModel
from icl_claims.models.tokens import token_encoder

_IDENTITY = ("*.safetensors", "*.bin", "config.json", "tokenizer.json", "vocab.json", "merges.txt", "tokenizer.model")


def load_folder(folder: Path, *, name: str, device: torch.device, dtype: torch.dtype) -> LanguageModel:
    """The model in a folder that `save_pretrained` wrote.

    Raises:
        ModelError: no such folder, no weights in it, damaged weights, or an architecture that is not supported.
    """
    if not folder.is_dir() or not (folder / "config.json").is_file():
        raise ModelError(
            f"No model lies in {folder}",
            expected="a folder with config.json, weights and a tokenizer",
            got="no such folder" if not folder.is_dir() else "a folder without config.json",
            todo="Name a folder written by save_pretrained: --claims-model path:DIR.",
        )
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ModelError(
            f"{folder} holds no weights",
            expected="model.safetensors or pytorch_model.bin",
            todo="Download the checkpoint again.",
        )
    progress_was_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        network: Any = AutoModelForCausalLM.from_pretrained(
            folder, attn_implementation=NAME, dtype=dtype, local_files_only=True, weights_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers, safetensors and torch raise errors of many kinds here
        raise ModelError(
            f"The model in {folder} could not be loaded",
            expected=f"a causal language model of one of these families: {', '.join(FAMILIES)}",
            got=f"{type(error).__name__}: {_first_line(error)}",
            todo="If the file is truncated, download it again; if the family is another, use one of those.",
        ) from error
    finally:
        if progress_was_on:
            transformers_logging.enable_progress_bar()
    return LanguageModel(network.to(device), token_encoder(tokenizer, name), name=name, digest=folder_digest(folder))


def folder_digest(folder: Path) -> str:
    """SHA-256 over the weights, the configuration and the tokenizer of a folder, by file name and content."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _IDENTITY for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            digest.update(f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:200]
