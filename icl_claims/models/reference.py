"""Names of models, as a reader gives them, and the models they name."""

from pathlib import Path

import torch

from icl_claims.errors import ModelError
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.models.embedded import Say, embedded_folder
from icl_claims.models.folder import check_folder, fairseq_digest, folder_digest, load_fairseq, load_folder
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.spread import SPREAD, spread
from icl_claims.storage.files import DigestOf, file_digest, remembered_digest

FORMS = "embedded, tiny, path:DIR, hub:NAME or fairseq:DIR"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(
    reference: str, *, device: str = "auto", dtype: str = "float32", say: Say = lambda _text: None
) -> LanguageModel:
    """The model that a reference names.

    >>> load_model("tiny").layers
    3

    Args:
        reference: `embedded`; `tiny`, the small in-context learner that ships with the project; `path:DIR`, a folder
            written by save_pretrained; `hub:NAME`; or `fairseq:DIR`, a folder with model.pt, dict.txt and the BPE files
            of GPT-2 (encoder.json, vocab.bpe or vocab.json, merges.txt).
        device: `auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:N`, or `spread` over all GPUs.
        dtype: float32, bfloat16 or float16.
        say: called with a sentence before what takes long.

    Raises:
        ModelError: an unknown reference, device or dtype, or a model that cannot be loaded.
    """
    if device == SPREAD:
        return spread(load_model(reference, device="cpu", dtype=dtype, say=say))
    where, precision = find_device(device), find_dtype(dtype)
    folder, is_fairseq = _locate(reference, say, file_digest)
    load = load_fairseq if is_fairseq else load_folder
    return load(folder, name=reference, device=where, dtype=precision)


def model_digest(reference: str, *, say: Say = lambda _text: None) -> str:
    """The digest that the model of a reference has when it is loaded, at once if its files were read before.

    Raises:
        ModelError: an unknown reference, or missing files.
    """
    folder, is_fairseq = _locate(reference, say, remembered_digest)
    try:
        if is_fairseq:
            return fairseq_digest(folder, remembered_digest)
        check_folder(folder)
        return folder_digest(folder, remembered_digest)
    except OSError as error:
        raise ModelError(
            f"The model {reference} cannot be read",
            got=f"{error.filename}: {error.strerror}",
            todo="Name a complete folder: path:DIR or fairseq:DIR.",
        ) from error


def _locate(reference: str, say: Say, digest_of: DigestOf) -> tuple[Path, bool]:
    """The folder that a reference names, fetched if it is missing, and whether fairseq wrote it."""
    kind, _, rest = reference.partition(":")
    if kind == "embedded" and not rest:
        return embedded_folder(say=say, digest_of=digest_of), False
    if kind == "tiny" and not rest:
        return fixtures_folder() / "tiny", False
    if kind == "hub" and rest:
        return _fetch_from_hub(rest), False
    if kind in ("path", "fairseq") and rest:
        return Path(rest).expanduser(), kind == "fairseq"
    raise ModelError(
        "Unknown model reference",
        expected=FORMS,
        got=repr(reference),
        todo="For example ⟨model⟩ hub:HuggingFaceTB/SmolLM2-360M or ⟨model⟩ path:./checkpoint.",
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
            todo="Use ⟨device⟩ cpu, or see what is there with `icl-claims doctor`.",
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
            todo="Check the name and the network, or download it elsewhere and use the ⟨model⟩ path:DIR.",
        ) from error
