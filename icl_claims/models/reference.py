"""Names of models, devices and dtypes, as a reader gives them, and the models they name; one may fill several GPUs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from icl_claims.errors import ModelError
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.models.embedded import EMBEDDED_MODEL, embedded_folder
from icl_claims.models.folder import ABOUT, digest_of_folder
from icl_claims.models.gguf import facts_of, gguf_folder
from icl_claims.models.language_model import LanguageModel
from icl_claims.storage.files import DigestOf, Say, file_digest, remembered_digest

EMBEDDED = "embedded"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(
    reference: str, *, device: str = "auto", dtype: str = "float32", say: Say = lambda _text: None
) -> LanguageModel:
    """The model that a reference names.

    >>> load_model("tiny").layers
    3

    Args:
        reference: `embedded`; `tiny`, the small in-context learner that ships with the project; `path:DIR`, a folder
            written by save_pretrained; `hub:NAME`; `gguf:FILE`, a GGUF file of an architecture that transformers
            de-quantises; or `fairseq:DIR`, a folder with model.pt, dict.txt and the BPE files of GPT-2 (encoder.json,
            vocab.bpe or vocab.json, merges.txt).
        device: `auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:N`, or `spread` over all GPUs.
        dtype: float32, bfloat16 or float16.
        say: called with a sentence before what takes long.

    Raises:
        ModelError: an unknown reference, device or dtype, or a model that cannot be loaded.
    """
    if device == "spread":
        return spread(load_model(reference, device="cpu", dtype=dtype, say=say))
    where = find_device(device)
    if dtype not in DTYPES:
        raise ModelError("Unknown dtype", expected=", ".join(DTYPES), got=repr(dtype))
    folder, is_fairseq = _locate(reference, say, file_digest)
    from icl_claims.models import loading  # and with it transformers, which takes a second

    load = loading.load_fairseq if is_fairseq else loading.load_folder
    return load(folder, name=reference, device=where, dtype=DTYPES[dtype])


def model_digest(reference: str, *, say: Say = lambda _text: None) -> str:
    """The digest that the model of a reference has when it is loaded, at once if its files were read before.

    Raises:
        ModelError: an unknown reference, or missing files.
    """
    folder, is_fairseq = _locate(reference, say, remembered_digest)
    try:
        return digest_of_folder(folder, is_fairseq=is_fairseq)
    except OSError as error:
        raise ModelError(
            f"The model {reference} cannot be read",
            got=f"{error.filename}: {error.strerror}",
            todo="Name a complete folder: path:DIR or fairseq:DIR.",
        ) from error


def described(reference: str) -> str:
    """A reference, and what a reader should know of the model besides: its quantisation, the digest of its file.

    >>> described("tiny")
    'tiny'

    Raises:
        ModelError: an unknown reference, or a GGUF file that cannot be read.
    """
    if reference == EMBEDDED:
        return f"{reference}: {EMBEDDED_MODEL}"
    if not reference.startswith("gguf:"):
        return reference
    facts = facts_of(located(reference)[0])
    return f"{reference}: {facts['architecture']}, {facts['quantisation']}, SHA-256 {facts['gguf_sha256'][:12]}"


def located(reference: str) -> tuple[Path, bool]:
    """The folder of the model that a reference names, and whether fairseq wrote it; it is fetched if it is missing.

    Raises:
        ModelError: an unknown reference, or a model that cannot be fetched.
    """
    return _locate(reference, lambda _text: None, remembered_digest)


def _locate(reference: str, say: Say, digest_of: DigestOf) -> tuple[Path, bool]:
    """The folder that a reference names, fetched if it is missing, and whether fairseq wrote it."""
    kind, _, rest = reference.partition(":")
    if kind == EMBEDDED and not rest:
        return embedded_folder(say=say, digest_of=digest_of), False
    if kind == "tiny" and not rest:
        return fixtures_folder() / "tiny", False
    if kind == "hub" and rest:
        return _fetch_from_hub(rest), False
    if kind == "gguf" and rest:
        return gguf_folder(Path(rest).expanduser(), say=say, digest_of=digest_of), False
    if kind in ("path", "fairseq") and rest:
        return Path(rest).expanduser(), kind == "fairseq"
    raise ModelError(
        "Unknown model reference",
        expected="embedded, tiny, path:DIR, hub:NAME, gguf:FILE or fairseq:DIR",
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


def _fetch_from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = [*ABOUT, "*.safetensors"]
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


Place = int | str | torch.device


def spread(model: LanguageModel, max_memory: Mapping[int | str, int] | None = None) -> LanguageModel:
    """A model on the CPU, its blocks moved to several GPUs as evenly as they fit; on a machine without any, left there.

    `max_memory` are the bytes to use of each device, by GPU number or "cpu"; by default all that are free.

    Raises:
        ModelError: the GPUs together cannot hold the model.
    """
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    network: Any = model.network
    limits: dict[str, Any] = {"dtype": model.dtype, "no_split_module_classes": list(network._no_split_modules or ())}
    memory = get_balanced_memory(network, max_memory, **limits)
    device_map = infer_auto_device_map(network, max_memory=memory, offload_buffers=True, **limits)
    places = set(device_map.values())
    without_room = places & {"cpu", "disk"}  # copied from there to a GPU at every call, over tuned values
    if without_room and (places != {"cpu"} or torch.cuda.is_available()):
        raise ModelError(
            f"{model.name} does not fit the GPUs of this machine",
            expected="room for all of its weights",
            got=f"some left for {' and '.join(sorted(without_room))}",
            todo="Use ⟨dtype⟩ float16, or a machine with more GPU memory.",
        )
    return dispatch(model, device_map)


def dispatch(model: LanguageModel, device_map: Mapping[str, Place]) -> LanguageModel:
    """The model with its modules where a map says; what follows the blocks is with the head.

    `logits_to_keep`, on the head's device, indexes the output of the norm: so the two share that device, and accelerate
    must not move the index to `first` with the other arguments. A tied head is the embedding matrix itself.
    """
    from accelerate import dispatch_model

    first = next(iter(device_map.values()))
    if len(set(device_map.values())) == 1:
        model.network.to(first)
        return model
    network: Any = model.network
    name_of = {id(module): name for name, module in network.named_modules()}
    embeddings, head = network.get_input_embeddings(), model.blocks.head
    last = _place_of(name_of[id(embeddings if head.weight is embeddings.weight else head)], device_map)
    complete = {**device_map, **{name_of[id(module)]: last for module in model.blocks.after}}
    dispatch_model(network, complete, main_device=first, skip_keys=["logits_to_keep"])
    return model


def _place_of(name: str, device_map: Mapping[str, Place]) -> Place:
    """The place of a module: its own in the map, or else that of the nearest module around it."""
    around = [name.rsplit(".", cut)[0] for cut in range(name.count(".") + 1)]
    return next(device_map[found] for found in (*around, "") if found in device_map)
