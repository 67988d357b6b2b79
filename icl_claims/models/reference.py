"""How a reader names a model, and the model of that name."""

from __future__ import annotations

from pathlib import Path

import torch

from icl_claims.errors import ModelError
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.models.embedded import Say, embedded_folder
from icl_claims.models.fairseq_folder import load_fairseq
from icl_claims.models.folder import load_folder
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.spread import SPREAD, spread

FORMS = "embedded, tiny, path:DIR, hub:NAME or fairseq:DIR"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(
    reference: str, *, device: str = "auto", dtype: str = "float32", say: Say = lambda _text: None
) -> LanguageModel:
    """The model that a reference names.

    Args:
        reference: `embedded`; `tiny`, the small in-context learner that ships with the project; `path:DIR`, a folder
            written by save_pretrained; `hub:NAME`; or `fairseq:DIR`, a folder with model.pt, dict.txt and the BPE files
            of GPT-2 (encoder.json, vocab.bpe or vocab.json, merges.txt).
        device: `auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:N`, or `spread` over all GPUs.
        dtype: float32, bfloat16 or float16.
        say: told in a sentence what takes long.

    Raises:
        ModelError: an unknown reference, device or dtype, or a model that cannot be loaded.
    """
    if device == SPREAD:
        return spread(load_model(reference, device="cpu", dtype=dtype, say=say))
    kind, _, rest = reference.partition(":")
    where, precision = find_device(device), find_dtype(dtype)
    if kind == "embedded" and not rest:
        return load_folder(embedded_folder(say=say), name=reference, device=where, dtype=precision)
    if kind == "tiny" and not rest:
        return load_folder(fixtures_folder() / "tiny", name=reference, device=where, dtype=precision)
    if kind == "path" and rest:
        return load_folder(Path(rest).expanduser(), name=reference, device=where, dtype=precision)
    if kind == "hub" and rest:
        return load_folder(_fetch_from_hub(rest), name=reference, device=where, dtype=precision)
    if kind == "fairseq" and rest:
        return load_fairseq(Path(rest).expanduser(), name=reference, device=where, dtype=precision)
    raise ModelError(
        "Unknown model reference",
        expected=FORMS,
        got=repr(reference),
        todo="For example --claims-model hub:HuggingFaceTB/SmolLM2-360M or --claims-model path:./checkpoint.",
    )


def find_device(name: str) -> torch.device:
    """The torch device of a name.

    Raises:
        ModelError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError("Unknown device", expected="auto, cpu, cuda or cuda:N (or spread)", got=repr(name)) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            "No such device",
            expected=f"one of {torch.cuda.device_count()} CUDA devices",
            got=name,
            todo="Use --claims-device cpu, or see what is there with `icl-claims doctor`.",
        )
    return device


def find_dtype(name: str) -> torch.dtype:
    """The torch dtype of a name.

    Raises:
        ModelError: not one of float32, bfloat16, float16.
    """
    if name not in DTYPES:
        raise ModelError("Unknown dtype", expected=", ".join(DTYPES), got=repr(name))
    return DTYPES[name]


def _fetch_from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.safetensors", "*.txt", "*.model"]
    try:
        folder = Path(snapshot_download(name, allow_patterns=patterns))
        if not any(folder.glob("*.safetensors")):  # older checkpoints, such as the fairseq dense models
            snapshot_download(name, allow_patterns=["pytorch_model*.bin"])
        return folder
    except Exception as error:  # the hub's client raises errors of many kinds
        raise ModelError(
            f"{name} could not be fetched from the Hugging Face Hub",
            got=f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}",
            todo="Check the name and the network, or download it elsewhere and use --claims-model path:DIR.",
        ) from error
