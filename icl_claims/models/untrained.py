"""A model with random weights in place of trained ones: the similarity that its architecture alone brings."""

import copy
import hashlib
from typing import Any, Literal

import torch

from icl_claims.models.language_model import LanguageModel
from icl_claims.models.spread import dispatch

Kept = Literal["nothing", "embeddings_norms_head", "norms"]
"""Trained weights of an untrained model: none; all but the blocks' projections (the authors' code); or the norms."""


def untrained(model: LanguageModel, keep: Kept, seed: int) -> LanguageModel:
    """The same architecture with weights as its own initialiser draws them, on the same devices and in the same dtype.

    Returns:
        A model with its own digest; a head tied to the embeddings is tied here, too.

    Source: the authors' code, last commit (random attention and feed-forward weights); in no table of either paper.
    """
    trained: Any = model.network
    with torch.random.fork_rng():  # transformers initialises from global state
        torch.manual_seed(seed)
        network: Any = type(trained)(copy.deepcopy(trained.config))
    device_map = getattr(trained, "hf_device_map", None)
    if device_map is None:
        network.to(model.device)
    values, kept = dict(trained.named_parameters()), _kept_parameters(model, keep)
    with torch.no_grad():
        for name, parameter in network.named_parameters():  # not its buffers, which stay in single precision
            parameter.data = parameter.data.to(model.dtype)
            if name in kept:
                parameter.copy_(values[name])
    digest = hashlib.sha256(f"{model.digest}, untrained, keeps {keep}, seed {seed}".encode()).hexdigest()
    name = f"{model.name}, untrained ({keep.replace('_', ', ')} kept)"
    made = LanguageModel(network, model.tokens, name=name, digest=digest)
    return made if device_map is None else dispatch(made, device_map)


def _kept_parameters(model: LanguageModel, keep: Kept) -> set[str]:
    """Names of the parameters that stay as trained."""
    if keep == "nothing":
        return set()
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
