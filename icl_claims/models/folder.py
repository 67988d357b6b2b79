"""What lies in the folder of a model, of transformers or of fairseq: its files, its tokenizer, and its digest."""

import hashlib
import json
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import tokenizers

from icl_claims.errors import ModelError
from icl_claims.models.tokens import (
    TokenEncoder,
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


def first_line(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or ['no message'])[0][:200]}"


def read_tokens(folder: Path, name: str) -> TokenEncoder:
    """The encoder of the tokenizer in a folder of transformers.

    Raises:
        ModelError: it cannot be read, or has no end-of-text token.
    """
    from transformers import AutoTokenizer

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


def fairseq_files(folder: Path) -> set[Path]:
    """The checkpoint, the dictionary and the BPE files of a fairseq folder.

    Raises:
        ModelError: a BPE file is missing.
    """
    return {folder / "model.pt", folder / "dict.txt", *find_bpe_files(folder)}


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
    about = files_digest(files, f"{metadata.version('transformers')} {tokenizers.__version__}", remembered_digest)

    def made() -> str:
        return fingerprint(read_fairseq_tokens(folder)[0] if is_fairseq else read_tokens(folder, str(folder)))

    return files_digest(files, remembered(about, made), remembered_digest)
