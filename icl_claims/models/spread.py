"""A model that one GPU cannot hold, spread over all of them by accelerate; it answers like one on a single device."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch

from icl_claims.errors import ModelError
from icl_claims.models.language_model import LanguageModel

SPREAD = "spread"
"""The name of the device that is all GPUs together."""

Place = int | str | torch.device
NO_PLACE_TO_TUNE = {"cpu", "disk"}  # accelerate copies weights from there to a GPU at every call, over tuned values


def spread(model: LanguageModel, max_memory: Mapping[int | str, int] | None = None) -> LanguageModel:
    """The model with its blocks on several GPUs, as evenly as they fit; on a machine without any, left on the CPU.

    Args:
        model: the model, on the CPU.
        max_memory: bytes to use of each device, by GPU number or "cpu"; by default all that are free.

    Raises:
        ModelError: accelerate is not installed, or the GPUs together cannot hold the model.
    """
    if find_spec("accelerate") is None:
        raise ModelError(
            "A model cannot be spread over several GPUs",
            expected="the package accelerate",
            got="none",
            todo="pip install 'icl-claims[multi-gpu]', or name one ⟨device⟩.",
        )
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    network: Any = model.network
    limits: dict[str, Any] = {"dtype": model.dtype, "no_split_module_classes": list(network._no_split_modules or ())}
    memory = get_balanced_memory(network, max_memory, **limits)
    device_map = infer_auto_device_map(network, max_memory=memory, offload_buffers=True, **limits)
    places = set(device_map.values())
    without_room = places & NO_PLACE_TO_TUNE
    if without_room and (places != {"cpu"} or torch.cuda.is_available()):
        raise ModelError(
            f"{model.name} does not fit the GPUs of this machine",
            expected="room for all of its weights",
            got=f"some left for {' and '.join(sorted(without_room))}",
            todo="Use ⟨dtype⟩ bfloat16, or a machine with more GPU memory.",
        )
    return dispatch(model, device_map)


def dispatch(model: LanguageModel, device_map: Mapping[str, Place]) -> LanguageModel:
    """The model with its modules where a map says; the norm goes with the head, a tied head with the embeddings.

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
    embeddings, head = network.get_input_embeddings(), network.get_output_embeddings()
    last = _place_of(name_of[id(embeddings if head.weight is embeddings.weight else head)], device_map)
    complete = {**device_map, name_of[id(model.blocks.final_norm)]: last, name_of[id(head)]: last}
    dispatch_model(network, complete, main_device=first, skip_keys=["logits_to_keep"])
    return model


def _place_of(name: str, device_map: Mapping[str, Place]) -> Place:
    """The place of a module: its own in the map, or else that of the nearest module around it."""
    around = [name.rsplit(".", cut)[0] for cut in range(name.count(".") + 1)]
    return next(device_map[found] for found in (*around, "") if found in device_map)
