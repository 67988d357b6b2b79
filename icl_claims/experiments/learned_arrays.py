"""What a method learned as arrays of bytes, and back: to the last bit, and laid out in memory as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from icl_claims.methods import Learned
from icl_claims.methods.linearized import LearnedLinearly
from icl_claims.methods.perturbations import AskedInOtherWords
from icl_claims.models.attention import Prefix
from icl_claims.models.language_model import LanguageModel

KINDS = {kind.__name__: kind for kind in (Learned, LearnedLinearly)}
_INNER = "|"
_IN_OTHER_WORDS = "asked in other words"


def bytes_of(*learned: Learned) -> int:
    """How much memory what methods learned takes, the model aside; what they share is counted once."""
    tensors = (tensor for each in learned for tensor in _all_tensors(each))
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors}
    return sum(storage.nbytes() for storage in storages.values())


def packed(learned: Learned) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Plain data and arrays of what a method learned; the model is not among them."""
    if isinstance(learned, AskedInOtherWords):
        facts, arrays = packed(learned.learned)
        return {"kind": _IN_OTHER_WORDS, "learned": facts}, arrays
    values = {field.name: getattr(learned, field.name) for field in fields(learned)}
    tensors = {f"{name}{_INNER}{inner}": tensor for name, held in values.items() for inner, tensor in _tensors(held)}
    facts = {
        "kind": type(learned).__name__,
        "tokens": {name: held.tokens for name, held in values.items() if isinstance(held, Prefix)},
        "losses": list(learned.losses),
        "layout": {name: (str(held.dtype).removeprefix("torch."), held.stride()) for name, held in tensors.items()},
    }
    arrays = {name: tensor.detach().cpu().contiguous().view(torch.uint8).numpy() for name, tensor in tensors.items()}
    return facts, arrays | ({} if learned.gradient_norms is None else {"gradient_norms": learned.gradient_norms})


def unpacked(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray], model: LanguageModel) -> Learned:
    """What a method learned, from what `packed` gave.

    Args:
        facts: plain data.
        arrays: by name.
        model: that learned.
    """
    if facts["kind"] == _IN_OTHER_WORDS:
        return AskedInOtherWords.of(unpacked(facts["learned"], arrays, model))
    places = {name: value.device for name, value in model.tuned_values().items()}
    of_layers = {parameter.layer: places[parameter.name] for parameter in model.tuned_parameters}
    held: dict[str, dict[str, Tensor]] = {}
    for name, (dtype, stride) in facts["layout"].items():
        field, _, inner = name.partition(_INNER)
        place = of_layers[int(inner.rpartition(_INNER)[2])] if field in facts["tokens"] else places[inner]
        held.setdefault(field, {})[inner] = _tensor(arrays[name], dtype, stride).to(place)
    values: dict[str, Any] = {
        field: _prefix(tensors, facts["tokens"][field]) if field in facts["tokens"] else tensors
        for field, tensors in held.items()
    }
    norms = arrays.get("gradient_norms")
    return KINDS[facts["kind"]](model=model, losses=tuple(facts["losses"]), gradient_norms=norms, **values)


def _all_tensors(learned: Learned) -> Iterator[Tensor]:
    for field in fields(learned):
        held = getattr(learned, field.name)
        yield from _all_tensors(held) if isinstance(held, Learned) else (tensor for _, tensor in _tensors(held))


def _tensors(held: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(held, Prefix):
        for side, layers in (("keys", held.keys), ("values", held.values)):
            yield from ((f"{side}{_INNER}{layer}", tensor) for layer, tensor in enumerate(layers))
    elif isinstance(held, Mapping):
        yield from held.items()


def _prefix(tensors: Mapping[str, Tensor], tokens: int) -> Prefix:
    layers = range(len(tensors) // 2)
    keys, values = (tuple(tensors[f"{side}{_INNER}{layer}"] for layer in layers) for side in ("keys", "values"))
    return Prefix(keys, values, tokens)


def _tensor(content: np.ndarray, dtype: str, stride: tuple[int, ...]) -> Tensor:
    """A tensor in memory of its own, aligned and laid out as it was, on which rounding can depend."""
    values = torch.from_numpy(content).view(getattr(torch, dtype))
    return torch.empty_strided(values.shape, tuple(stride), dtype=values.dtype).copy_(values)
