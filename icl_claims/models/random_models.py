"""Tiny transformers with random weights: every supported family, real modules, no training and no download."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from icl_claims.errors import ModelError
from icl_claims.models.attention import registered_attention
from icl_claims.models.families import FAMILIES, FUSED, SEPARATE
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.tokens import TokenEncoder

VOCABULARY = 61
CONTEXT = 64
HIDDEN = 16
HEADS = 4
BOS, PAD, EOS = 0, 1, 2
FIRST_WORD = 3  # ids below are special

_SHAPE = {
    "vocab_size": VOCABULARY,
    "max_position_embeddings": CONTEXT,
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "bos_token_id": BOS,
    "pad_token_id": PAD,
    "eos_token_id": EOS,
}

CONFIGURATIONS: dict[str, Mapping[str, Any]] = {
    family.model_type: {**_SHAPE, **family.tiny} for family in FAMILIES if family.tiny is not None
}
"""By the family's name in transformers, the fields of a tiny configuration, but for the number of blocks."""


def random_model(family: str, layers: int, seed: int, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """A transformer of a family with random weights, 16 hidden dimensions, 4 heads and 61 token ids.

    Its weights are large enough that every head attends unevenly and every layer matters. It has no tokenizer: give it
    ids from `FIRST_WORD` on.

    Raises:
        ModelError: an unknown family.
    """
    network = random_network(family, layers, seed, attention=registered_attention()).to(dtype)
    name = f"random:{family}:{layers}:{seed}"
    return LanguageModel(network, TokenEncoder(None, BOS, EOS), name=name, digest=f"{name}:{dtype}")


def random_network(family: str, layers: int, seed: int, *, attention: str = "eager") -> nn.Module:
    """The same transformer as transformers itself runs it, for instance with its own eager attention.

    Raises:
        ModelError: an unknown family.
    """
    if family not in CONFIGURATIONS:
        raise ModelError("Unknown family of random models", expected=", ".join(CONFIGURATIONS), got=repr(family))
    config = AutoConfig.for_model(family, num_hidden_layers=layers, **CONFIGURATIONS[family])
    with torch.random.fork_rng():  # transformers initialises from global state; what it draws is overwritten below
        network: nn.Module = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    fill_at_random(network, seed)
    return network.eval()


def fill_at_random(module: nn.Module, seed: int) -> None:
    """Draw every parameter of a module again; each has a stream of its own name."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            stream = torch.Generator().manual_seed(zlib.crc32(f"{seed}:{name}".encode()))  # torch reads 32 bits
            drawn = torch.randn(parameter.shape, generator=stream)
            is_scale = parameter.dim() == 1 and name.endswith("weight")
            parameter.copy_(1 + 0.2 * drawn if is_scale else 0.3 * drawn)


def key_value_part(name: str, parameter: Tensor, heads: int = HEADS) -> Bool[Tensor, ...] | None:
    """Which entries of a parameter make keys or values, as its qualified name tells; None for any other parameter.

    >>> key_value_part("transformer.h.0.attn.c_attn.bias", torch.zeros(6)).tolist()
    [False, False, True, True, True, True]
    """
    owners = name.split(".")
    fused = next((fused for fused in FUSED if fused.name in owners), None)
    if fused is not None:
        return fused.keys_and_values(parameter, heads).expand_as(parameter)
    return torch.ones_like(parameter, dtype=torch.bool) if set(owners) & set(SEPARATE) else None
