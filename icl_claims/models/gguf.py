"""GGUF files: each is de-quantised once, into a folder of the cache; one that transformers reads in part is refused."""

import json
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from icl_claims.errors import ModelError
from icl_claims.models.folder import first_line, read_tokens
from icl_claims.models.tokens import fingerprint, token_encoder
from icl_claims.storage.files import DigestOf, Say, cache_folder, sha256_of

MANIFEST, WEIGHTS = "MANIFEST.json", "model.safetensors"
_SPLIT_AS_GPT2 = re.compile("gpt-2|phi-2|mpt|olmo|jais|starcoder|refact|command-r|smollm|codeshell|exaone|minerva-7b")
"""Kinds of byte-level BPE that may be split as GPT-2's, which transformers does with all that it does not know.

Some of them split digits one by one before. Their merges were learned so: none joins digits, so the tokens are the same
without that.
"""
_NAMES_IN_CONFIG = {
    "attention.key_length": "head_dim",
    "attention.value_length": "head_dim",
    "attention.layer_norm_epsilon": "layer_norm_epsilon",
    "attention.sliding_window": "sliding_window",
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
    "feed_forward_length": "intermediate_size",
}
"""Fields of a file that transformers may not read, and what they are called in the configuration it makes."""


def model_cache() -> Path:
    """The folder of models in the cache."""
    return cache_folder() / "models"


def gguf_folder(source: Path, *, say: Say = lambda _text: None, digest_of: DigestOf = sha256_of) -> Path:
    """The folder of a GGUF file's model as float32 safetensors, made on first use; the file's SHA-256 names it.

    Raises:
        ModelError: no such file, or one that `cached_folder` refuses.
    """
    try:
        sha256 = digest_of(source)
    except OSError as error:
        raise ModelError(
            f"No GGUF file can be read at {source}",
            expected="one file that holds a whole model",
            got=first_line(error),
            todo="Name a file: ⟨model⟩ gguf:FILE.",
        ) from error
    return cached_folder(sha256, lambda _scratch: source, say=say, digest_of=digest_of)


def is_cached(sha256: str, cache: Path | None = None) -> bool:
    """Whether the GGUF file of a digest was de-quantised into a folder of cached models, `model_cache()` by default."""
    return ((cache or model_cache()) / f"gguf-{sha256}" / MANIFEST).is_file()


def cached_folder(
    sha256: str,
    fetch: Callable[[Path], Path],
    cache: Path | None = None,
    *,
    say: Say = lambda _text: None,
    digest_of: DigestOf = sha256_of,
) -> Path:
    """The folder of the GGUF file of a digest in a folder of cached models, `model_cache()` by default.

    Args:
        sha256: digest of the file, which names the folder.
        fetch: gives the file, where it is not yet de-quantised; it may put it into the empty folder that it is given.
        cache: the folder of cached models.
        say: called with a sentence before what takes long.
        digest_of: how the digest of the cached weights is known.

    Raises:
        ModelError: the file is damaged or another one, transformers does not read all of it, or the cache is damaged or
            cannot be written.
    """
    cache = cache or model_cache()
    folder = cache / f"gguf-{sha256}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not is_cached(sha256, cache):
                with tempfile.TemporaryDirectory(dir=cache) as scratch:
                    _build(fetch(Path(scratch)), sha256, Path(scratch), say).rename(folder)
    except OSError as error:
        raise ModelError(
            f"The model cannot be cached in {cache}",
            expected="a folder that can be written, with room for its weights in float32",
            got=str(error),
            todo="Set ICL_CLAIMS_CACHE to another folder.",
        ) from error
    try:
        wanted, got = facts_of(folder)[WEIGHTS], digest_of(folder / WEIGHTS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        wanted, got = "of the manifest", first_line(error)
    if got != wanted:
        raise ModelError(
            f"The cached weights in {folder} are damaged",
            expected=f"SHA-256 {wanted}",
            got=got,
            todo="Delete that folder; the next run makes it again.",
        )
    return folder


def facts_of(folder: Path) -> dict[str, str]:
    """What the manifest of a cached folder says: the file's digest, architecture and quantisation, the weights' digest.

    Raises:
        OSError, ValueError: there is none, or a damaged one.
    """
    facts: dict[str, str] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return facts


def _build(source: Path, sha256: str, scratch: Path, say: Say) -> Path:
    """A new folder with the model of a file; the same for the same bytes, wherever they lie and whatever lies there."""
    if (got := sha256_of(source)) != sha256:
        raise ModelError(
            f"{source} changed while it was read", expected=f"SHA-256 {sha256}", got=got, todo="Try again."
        )
    alone, made = scratch / "alone", scratch / "made"  # transformers would read a tokenizer_config.json beside the file
    alone.mkdir()
    (alone / "model.gguf").symlink_to(source.resolve())
    facts = {"gguf_sha256": sha256, **_dequantise(alone / "model.gguf", made, str(source), say)}
    facts[WEIGHTS] = sha256_of(made / WEIGHTS)
    (made / MANIFEST).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return made


def _dequantise(file: Path, made: Path, source: str, say: Say) -> dict[str, str]:
    """Write the model of a file as a folder of transformers; gives its architecture and quantisation."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from icl_claims.models.loading import check_weights, without_progress_bars

    reader = _read(file, source)
    architecture, held = _field(reader, "general.architecture"), _held(reader)
    numbers = sum(held.values())
    say(f"De-quantising {source} to float32 safetensors, {4 * numbers / 1e6:.0f} MB: once.")
    named = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    try:
        with warnings.catch_warnings(), without_progress_bars():
            warnings.simplefilter("ignore")
            quantised, loading = AutoModelForCausalLM.from_pretrained(
                **named, dtype=torch.float32, output_loading_info=True
            )
            tokenizer = AutoTokenizer.from_pretrained(**named)
    except Exception as error:  # transformers, gguf and numpy raise errors of many kinds here
        raise ModelError(
            f"transformers cannot de-quantise {source}",
            expected="a causal language model of an architecture that transformers reads from GGUF",
            got=f"{architecture}: {first_line(error)}",
            todo="Name the model's safetensors: ⟨model⟩ path:DIR. `icl-claims doctor` says if a package is missing.",
        ) from error
    check_weights(loading, source)
    if unread := [*_unread_fields(reader, architecture, quantised.config), *_unread_weights(numbers, quantised)]:
        raise _in_part(source, "; ".join(unread))
    with without_progress_bars():
        _write(quantised, tokenizer, made)
    if fingerprint(read_tokens(made, source)) != fingerprint(token_encoder(tokenizer, source)):
        raise _in_part(source, "a tokenizer that writes other tokens once it is saved")
    return {"architecture": architecture, "quantisation": ", ".join(name for name, _ in held.most_common())}


def _write(quantised: Any, tokenizer: Any, made: Path) -> None:
    """Save a model that was read from GGUF as any other, in the same bytes whatever version of transformers writes."""
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = quantised.config.to_dict()
    fields.pop("quantization_config", None)
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(**fields), dtype=torch.float32)
    network.load_state_dict(quantised.state_dict())
    network.save_pretrained(made)
    tokenizer.save_pretrained(made)
    for path in made.glob("*config.json"):
        entries = json.loads(path.read_text(encoding="utf-8"))
        entries.pop("transformers_version", None)
        path.write_text(json.dumps(entries, indent=1), encoding="utf-8")


def _in_part(source: str, got: str) -> ModelError:
    return ModelError(
        f"transformers does not read all of {source}",
        expected="a model and a tokenizer that it knows whole",
        got=got,
        todo="Name the model's safetensors: ⟨model⟩ path:DIR.",
    )


def _read(file: Path, source: str) -> Any:
    import gguf

    try:
        reader = gguf.GGUFReader(file)
        _field(reader, "general.architecture")
    except Exception as error:  # gguf and numpy raise errors of many kinds on damaged files
        raise ModelError(
            f"{source} is not a GGUF file that can be read",
            expected="a whole file that opens with GGUF and names its architecture",
            got=first_line(error),
            todo="Download it again.",
        ) from error
    return reader


def _field(reader: Any, name: str, default: Any = None) -> Any:
    """The value of a field.

    Raises:
        KeyError: there is none, and no default.
    """
    return reader.fields[name].contents() if default is None or name in reader.fields else default


def _held(reader: Any) -> Counter[str]:
    """How many numbers a file holds in each quantisation."""
    held: Counter[str] = Counter()
    for tensor in reader.tensors:
        held[tensor.tensor_type.name] += int(tensor.n_elements)
    return held


def _unread_weights(numbers: int, network: Any) -> Iterator[str]:
    """What is left over where a network, all of whose parameters come from the file, has fewer numbers than it."""
    placed = sum(parameter.numel() for parameter in network.parameters())
    if placed != numbers:
        yield f"{numbers - placed} weights without a place (rotary frequencies and biases often have none)"


def _unread_fields(reader: Any, architecture: str, config: Any) -> Iterator[str]:
    """The fields that shape a model or its tokens, that transformers does not read, and that say another thing."""
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    known = GGUF_CONFIG_MAPPING.get(architecture) or GGUF_CONFIG_MAPPING.get(config.model_type, {})
    read = {f"{architecture}.{name}" for name, place in known.items() if place is not None}
    for name in reader.fields:
        value, mine = _field(reader, name), name.startswith(f"{architecture}.")
        if mine and name not in read and not _agrees(name.removeprefix(f"{architecture}."), value, config):
            yield f"{name} = {value}"
    kind, split = (_field(reader, f"tokenizer.ggml.{name}", "none") for name in ("model", "pre"))
    split_known = split in GGUF_PRE_TOKENIZER_SPLITS or _SPLIT_AS_GPT2.fullmatch(split) or architecture == "gpt2"
    if kind == "gpt2" and not split_known:
        yield f"tokenizer.ggml.pre = {split}"
    prefixed = _field(reader, "tokenizer.ggml.add_space_prefix", True) or architecture.startswith("gemma")
    if kind == "llama" and not prefixed:
        yield "tokenizer.ggml.add_space_prefix = False"


def _agrees(name: str, value: Any, config: Any) -> bool:
    """Whether a configuration has what an unread field says, or the field changes no number."""
    rope = getattr(config, "rope_parameters", None) or {}
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    match name:
        case "context_length" | "tensor_data_layout" | "rope.scaling.finetuned":
            return True
        case "rope.scaling.type":
            return bool(value == "none")
        case "rope.freq_base":
            return bool(value == rope.get("rope_theta"))
        case "rope.dimension_count":
            return bool(value == int(head * rope.get("partial_rotary_factor", 1)))
    wanted = _NAMES_IN_CONFIG.get(name, name)
    return bool(value == (head if wanted == "head_dim" else getattr(config, wanted, None)))
