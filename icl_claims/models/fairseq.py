"""fairseq's dense language models: their checkpoints, read without trusting them, and the OPT models that they are.

In OPT's terms, as in their XGLM form on the Hub, the position embedding is the sinusoidal table (offset 2), the input
embedding sqrt(hidden) times the matrix, and the head the matrix itself, untied; all else has the same place under
another name.
"""

import math
import zipfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AutoModelForCausalLM, OPTConfig, PreTrainedModel

from icl_claims.errors import ModelError
from icl_claims.models.tokens import BOS, END_OF_LINE, PAD

PICKLE_LIMIT = 4 * 2**20  # bytes; a pickle that describes 1.3B parameters and their optimizer takes less than a tenth
PLAIN = (type(None), bool, int, float, str, torch.dtype, torch.device, torch.Size)
OFFSET = 2  # the position of the first token: pad index + 1


def read_fairseq_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The contents of a checkpoint, in either layout of fairseq: `args` (a namespace) or `cfg` (groups).

    No code of the checkpoint is run: a pickle that names anything but tensors, plain values and argparse.Namespace is
    refused before it is loaded.

    Returns:
        Options of the model and its task, by name, and tensors of the model, by fairseq's names; they stay in the file
        until they are copied.

    Raises:
        ModelError: no such file, a damaged one, or one that carries anything but tensors and plain configuration.
    """
    sizes = _check_archive(path)
    try:
        with torch.serialization.safe_globals([Namespace]):
            unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))  # the pickle is read, not run
            state = None if unsafe else torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch and pickle raise errors of many kinds on damaged files
        raise _damaged(path, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}") from error
    if unsafe:
        raise _carries(path, ", ".join(sorted(unsafe)))
    for place, value in _leaves(state):
        if not isinstance(value, (*PLAIN, Tensor)):
            raise _carries(path, f"{place or 'the whole checkpoint'}, a {type(value).__name__}")
        if isinstance(value, Tensor) and value.layout == torch.strided:
            claimed = value.untyped_storage().nbytes()
            if claimed not in sizes:
                raise _damaged(path, f"{place}, which claims {claimed} bytes that no record has")
    if not isinstance(state, dict):
        raise _damaged(path, f"a {type(state).__name__} in place of a dictionary")
    return _options(state, path), _tensors(state.get("model"), path)


def _check_archive(path: Path) -> set[int]:
    """Every record of the archive is stored as it is, and lies in the file.

    Returns:
        The sizes that records have, in bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except FileNotFoundError as error:
        raise ModelError(
            f"No checkpoint lies at {path}", expected="a file", todo="A fairseq folder holds model.pt and dict.txt."
        ) from error
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    claimed = sum(record.file_size for record in records)
    if claimed > path.stat().st_size or any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise _damaged(path, f"records that claim {claimed} bytes in a file of {path.stat().st_size}")
    pickles = [record for record in records if record.filename.endswith("data.pkl")]
    if len(pickles) != 1 or pickles[0].file_size > PICKLE_LIMIT:
        raise _damaged(path, f"{len(pickles)} pickles of {sum(record.file_size for record in pickles)} bytes")
    return {record.file_size for record in records}


def _leaves(state: Any) -> Iterator[tuple[str, Any]]:
    """Everything that is no dictionary, list or namespace, with its place; what is in two places comes once."""
    waiting, seen = [("", state)], set()
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, Namespace):
            value = vars(value)
        if not isinstance(value, dict | list | tuple) or isinstance(value, torch.Size):
            yield place, value
        elif id(value) not in seen:
            seen.add(id(value))
            items = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [(f"{place}[{key!r}]", inner) for key, inner in items]


def _options(state: dict[str, Any], path: Path) -> dict[str, Any]:
    """The options of the task under those of the model, as one dictionary."""
    args, cfg = _group(state, "args"), _group(state, "cfg")
    if args is not None:
        return args
    if cfg is not None and (model := _group(cfg, "model")) is not None:
        return {**(_group(cfg, "task") or {}), **model}
    raise _damaged(path, "neither `args` (a namespace) nor `cfg` with a `model` in it")


def _group(options: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The options of a name, a namespace or a dictionary; None if they are neither."""
    group = options.get(name)
    group = vars(group) if isinstance(group, Namespace) else group
    return group if isinstance(group, dict) else None


def _tensors(model: Any, path: Path) -> dict[str, Tensor]:
    """The tensors of the model, each with a number of its own in the file for every entry."""
    if not isinstance(model, dict) or not model:
        raise _damaged(path, "no `model`")
    for name, tensor in model.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise _carries(path, f"['model'][{name!r}], a {type(tensor).__name__}")
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and tensor.is_contiguous()
        if not plain or not tensor.is_floating_point():
            raise _carries(path, f"['model'][{name!r}], a tensor that is not dense floating point")
    return dict(model)


def _damaged(path: Path, got: str) -> ModelError:
    return ModelError(
        f"{path} is not a checkpoint that can be read",
        expected="a zip archive written by torch.save (torch 1.6 or newer), with `model` and `args` or `cfg`",
        got=got,
        todo="Download it again; a checkpoint of an older torch must be saved again with a newer one first.",
    )


def _carries(path: Path, entry: str) -> ModelError:
    return ModelError(
        f"{path} was refused, and nothing in it was run",
        expected="tensors and plain configuration only",
        got=entry,
        todo="If you trust where it comes from, keep only its `model` and its `args` or `cfg`, and save that.",
    )


def opt_config(*, hidden_size: int, **shape: Any) -> OPTConfig:
    """The configuration of a dense language model, from its hidden size and OPT's other options of a shape."""
    return OPTConfig(
        hidden_size=hidden_size,
        word_embed_proj_dim=hidden_size,
        tie_word_embeddings=False,
        bos_token_id=BOS,
        pad_token_id=PAD,
        eos_token_id=END_OF_LINE,
        **shape,
    )


def opt_of_xglm(network: PreTrainedModel, source: str) -> PreTrainedModel:
    """The same model as OPT, on the same device and in the same dtype."""
    given: Any = network.config
    config = opt_config(
        hidden_size=given.d_model,
        num_hidden_layers=given.num_layers,
        num_attention_heads=given.attention_heads,
        ffn_dim=given.ffn_dim,
        vocab_size=given.vocab_size,
        max_position_embeddings=given.max_position_embeddings,
        activation_function=given.activation_function,
    )
    return opt_network(
        config,
        {opt_name(key.removeprefix("model.")): tensor for key, tensor in network.state_dict().items()},
        scaled=given.scale_embedding,
        shared=False,
        device=network.device,
        dtype=network.dtype,
        source=source,
    )


def opt_network(
    config: OPTConfig,
    tensors: Mapping[str, Tensor],
    *,
    scaled: bool,
    shared: bool,
    device: torch.device,
    dtype: torch.dtype,
    source: str,
) -> PreTrainedModel:
    """An OPT model of these tensors, run through our attention function.

    Tensors have OPT's names without their prefix, and `head.weight` is the head; all are checked before anything is
    built. `scaled` says that the input embedding is sqrt(hidden) times the matrix, `shared` that the head is the matrix
    and may be missing. Errors name the `source`.

    Raises:
        ModelError: a tensor is missing, unknown or of another shape.
    """
    given, hidden = dict(tensors), config.hidden_size
    if shared:
        given.setdefault("head.weight", given.get("embed_tokens.weight", torch.empty(0)))
    _check_tensors(_shapes(config), given, source)
    if shared and not torch.equal(given["head.weight"], given["embed_tokens.weight"]):
        raise _wrong_tensor(source, "has a head other than the embedding that it shares", "two equal tensors", "others")
    if hidden % (heads := config.num_attention_heads):
        raise ModelError(f"{source} has {heads} heads", expected=f"a divisor of {hidden}, its hidden size")
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=dtype)
    head = given.pop("head.weight")
    matrix = given.pop("embed_tokens.weight").float() * (math.sqrt(hidden) if scaled else 1.0)
    positions = sinusoidal_table(config.max_position_embeddings, hidden)
    given |= {"embed_tokens.weight": matrix, "embed_positions.weight": positions}
    state = {f"model.decoder.{name}": tensor for name, tensor in given.items()} | {"lm_head.weight": head}
    own = {name: tensor.detach().to(device, dtype, copy=True) for name, tensor in state.items()}
    network.load_state_dict(own, assign=True)
    network.config.fairseq = {"scaled": scaled, "shared": shared}
    return network


def _shapes(config: OPTConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor, under OPT's names without their prefix."""
    hidden, inner = config.hidden_size, config.ffn_dim
    narrow: tuple[int, ...] = (hidden,)
    projections = [f"self_attn.{name}_proj" for name in ("q", "k", "v", "out")]
    block = {f"{name}.weight": (hidden, hidden) for name in projections} | {
        f"{name}.bias": narrow for name in projections
    }
    for norm in ("self_attn_layer_norm", "final_layer_norm"):
        block |= {f"{norm}.weight": narrow, f"{norm}.bias": narrow}
    block |= {"fc1.weight": (inner, hidden), "fc1.bias": (inner,), "fc2.weight": (hidden, inner), "fc2.bias": narrow}
    layers = range(config.num_hidden_layers)
    return {
        "embed_tokens.weight": (config.vocab_size, hidden),
        **{f"layers.{layer}.{name}": shape for layer in layers for name, shape in block.items()},
        "final_layer_norm.weight": narrow,
        "final_layer_norm.bias": narrow,
        "head.weight": (config.vocab_size, hidden),
    }


def sinusoidal_table(context: int, hidden: int) -> Float[Tensor, "positions hidden"]:
    """The position embedding: row p is [sin(p w_0), sin(p w_1), ..., cos(p w_0), cos(p w_1), ...].

    The frequencies w fall from 1 to 1/10000 in a geometric series of hidden // 2 numbers. The rows below `OFFSET` are
    never read, and an odd last column is 0.

    Source: Tensor2Tensor's form of Vaswani et al. 2017, section 3.5, as fairseq has it.
    """
    half = hidden // 2
    frequency = torch.exp(torch.arange(half, dtype=torch.float) * -(math.log(10000) / max(half - 1, 1)))
    angle = torch.arange(context + OFFSET, dtype=torch.float)[:, None] * frequency
    table = torch.cat([angle.sin(), angle.cos(), torch.zeros(len(angle), hidden % 2)], dim=1)
    table[PAD] = 0
    return table


def opt_name(name: str) -> str:
    """OPT's name of a tensor of fairseq or XGLM, all without their prefixes; the head is `head.weight`."""
    if name in ("output_projection.weight", "lm_head.weight"):
        return "head.weight"
    return f"final_{name}" if name.startswith("layer_norm.") else name


def _check_tensors(wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor], source: str) -> None:
    for name, shape in wanted.items():
        if name not in given:
            raise _wrong_tensor(source, f"lacks {name}", str(shape), "no such tensor")
        if (got := tuple(given[name].shape)) != shape:
            raise _wrong_tensor(source, f"has {name} of another shape", str(shape), str(got))
    if unknown := sorted(set(given) - set(wanted)):
        raise _wrong_tensor(source, "holds tensors without a place in a dense decoder", "none", ", ".join(unknown[:3]))


def _wrong_tensor(source: str, problem: str, expected: str, got: str) -> ModelError:
    return ModelError(
        f"{source} {problem}",
        expected=expected,
        got=got,
        todo="Download it again, with the dict.txt and the options that belong to it; other models cannot be loaded.",
    )
