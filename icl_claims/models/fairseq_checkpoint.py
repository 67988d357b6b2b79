"""Read a fairseq checkpoint without trusting it: tensors and plain configuration, and nothing else."""

import zipfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from icl_claims.errors import ModelError

PICKLE_LIMIT = 4 * 2**20  # bytes; a pickle that describes 1.3B parameters and their optimizer takes less than a tenth
PLAIN = (type(None), bool, int, float, str, torch.dtype, torch.device, torch.Size)


@dataclass(frozen=True, eq=False)
class FairseqCheckpoint:
    """The contents of a checkpoint.

    Args:
        options: options of the model and its task, by name.
        tensors: tensors of the model, by fairseq's names; they stay in the file until they are copied.
    """

    options: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def read_fairseq_checkpoint(path: Path) -> FairseqCheckpoint:
    """The options and tensors of a checkpoint, in either layout of fairseq: `args` (a namespace) or `cfg` (groups).

    No code of the checkpoint is run: a pickle that names anything but tensors, plain values and argparse.Namespace is
    refused before it is loaded.

    Raises:
        ModelError: no such file, a damaged one, or one that carries anything but tensors and plain configuration.
    """
    sizes = _check_archive(path)
    _check_names(path)
    try:
        with torch.serialization.safe_globals([Namespace]):
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch and pickle raise errors of many kinds on damaged files
        raise _damaged(path, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}") from error
    for place, value in _leaves(state):
        if not isinstance(value, (*PLAIN, Tensor)):
            raise _carries(path, f"{place or 'the whole checkpoint'}, a {type(value).__name__}")
        if isinstance(value, Tensor) and value.layout == torch.strided and _bytes(value) not in sizes:
            raise _damaged(path, f"{place}, which claims {_bytes(value)} bytes that no record has")
    if not isinstance(state, dict):
        raise _damaged(path, f"a {type(state).__name__} in place of a dictionary")
    return FairseqCheckpoint(_options(state, path), _tensors(state.get("model"), path))


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


def _check_names(path: Path) -> None:
    """The pickle names nothing beyond what is allowed; it is read, not run."""
    try:
        with torch.serialization.safe_globals([Namespace]):
            unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception as error:  # a pickle with operations that torch itself never writes
        raise _damaged(path, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}") from error
    if unsafe:
        raise _carries(path, ", ".join(sorted(unsafe)))


def _bytes(tensor: Tensor) -> int:
    """Bytes of the storage that a tensor, perhaps a part of it, lies in."""
    return tensor.untyped_storage().nbytes()


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
    args, cfg = _plain_dict(state.get("args")), _plain_dict(state.get("cfg"))
    if args is not None:
        return args
    if cfg is not None and (model := _plain_dict(cfg.get("model"))) is not None:
        return {**(_plain_dict(cfg.get("task")) or {}), **model}
    raise _damaged(path, "neither `args` (a namespace) nor `cfg` with a `model` in it")


def _plain_dict(group: Any) -> dict[str, Any] | None:
    """A namespace or a dictionary as a dictionary; None if it is neither."""
    if isinstance(group, Namespace):
        return dict(vars(group))
    return dict(group) if isinstance(group, dict) else None


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
