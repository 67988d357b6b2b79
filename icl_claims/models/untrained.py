"""A model with random weights in place of trained ones: what similarity the architecture alone brings."""

from __future__ import annotations

import copy
import hashlib
from typing import Any, Literal

import torch
from torch import nn

from icl_claims.models.language_model import LanguageModel

Kept = Literal["nothing", "embeddings_norms_head", "norms"]
"""What an untrained model keeps: nothing; all but the blocks' projections (the authors' code); or the norms alone."""


def untrained(model: LanguageModel, keep: Kept, seed: int) -> LanguageModel:
    """The same architecture with weights as its own initialiser draws them.

    Args:
        model: the trained one, which stays as it is.
        keep: which trained weights stay.
        seed: of the initialiser.

    Source: the authors' code, last commit (random attention and feed-forward weights); in no table of either paper.
    """
    trained: Any = model.network
    with torch.random.fork_rng():  # transformers initialises from global state
        torch.manual_seed(seed)
        network: Any = type(trained)(copy.deepcopy(trained.config))
    network = network.to(device=model.device, dtype=model.dtype)
    if keep != "nothing":
        kept = _kept_parameters(model, keep)
        values = dict(trained.named_parameters())
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name in kept:
                    parameter.copy_(values[name])
        _copy_buffers(trained, network)
    digest = hashlib.sha256(f"{model.digest}, untrained but {keep}, seed {seed}".encode()).hexdigest()
    return LanguageModel(network, model.tokens, name=f"{model.name}, untrained", digest=digest)


def _kept_parameters(model: LanguageModel, keep: Kept) -> set[str]:
    """Names of the parameters that stay as trained."""
    norms = {
        f"{name}.{own}"
        for name, module in model.network.named_modules()
        if "norm" in type(module).__name__.lower()
        for own, _ in module.named_parameters(recurse=False)
    }
    if keep == "norms":
        return norms
    blocks = tuple(f"{name}." for name in model.blocks.names)
    outside = {name for name, _ in model.network.named_parameters() if not name.startswith(blocks)}
    return norms | outside


def _copy_buffers(trained: nn.Module, network: nn.Module) -> None:
    values = dict(trained.named_buffers())
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if name in values and values[name].shape == buffer.shape:
                buffer.copy_(values[name])
