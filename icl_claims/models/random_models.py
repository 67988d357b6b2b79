"""Tiny transformers with random weights: every supported family, real modules, no training and no download."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    PhiConfig,
    Qwen2Config,
)

from icl_claims.errors import ModelError
from icl_claims.models.attention import NAME
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.tokens import TokenEncoder

VOCABULARY = 61
CONTEXT = 64
HIDDEN = 16
BOS, PAD, EOS = 0, 1, 2
FIRST_WORD = 3  # ids below are special

_SPECIAL = {"bos_token_id": BOS, "pad_token_id": PAD, "eos_token_id": EOS}
_SHAPE = {"vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "hidden_size": HIDDEN, "num_attention_heads": 4}
_GATED = {**_SHAPE, **_SPECIAL, "intermediate_size": 2 * HIDDEN, "num_key_value_heads": 2}
_PLAIN = {**_SHAPE, **_SPECIAL, "intermediate_size": 2 * HIDDEN}

CONFIGURATIONS: dict[str, Callable[[int], Any]] = {
    "llama": lambda layers: LlamaConfig(num_hidden_layers=layers, **_GATED),
    "gpt2": lambda layers: GPT2Config(
        n_layer=layers, n_embd=HIDDEN, n_head=4, n_positions=CONTEXT, vocab_size=VOCABULARY, **_SPECIAL
    ),
    "opt": lambda layers: OPTConfig(  # with the activation of the public fairseq models, which are OPT otherwise
        num_hidden_layers=layers,
        ffn_dim=2 * HIDDEN,
        word_embed_proj_dim=HIDDEN,
        activation_function="gelu",
        **_SHAPE,
        **_SPECIAL,
    ),
    "gpt_neox": lambda layers: GPTNeoXConfig(num_hidden_layers=layers, **_PLAIN),
    "qwen2": lambda layers: Qwen2Config(num_hidden_layers=layers, **_GATED),
    "mistral": lambda layers: MistralConfig(num_hidden_layers=layers, sliding_window=7, **_GATED),
    "phi": lambda layers: PhiConfig(num_hidden_layers=layers, **_PLAIN),
    "gemma3": lambda layers: Gemma3TextConfig(num_hidden_layers=layers, head_dim=4, sliding_window=7, **_GATED),
}


def random_model(family: str, layers: int, seed: int, dtype: torch.dtype = torch.float32) -> LanguageModel:
    """A transformer of a family with random weights, 16 hidden dimensions, 4 heads and 61 token ids.

    Its weights are large enough that every head attends unevenly and every layer matters. It has no tokenizer: give it
    ids from `FIRST_WORD` on.

    Args:
        family: a key of `CONFIGURATIONS`.
        layers: number of decoder blocks.
        seed: of the weights.
        dtype: of the weights.

    Raises:
        ModelError: an unknown family.
    """
    network = random_network(family, layers, seed, attention=NAME).to(dtype)
    name = f"random:{family}:{layers}:{seed}"
    return LanguageModel(network, TokenEncoder(None, BOS, EOS), name=name, digest=f"{name}:{dtype}")


def random_network(family: str, layers: int, seed: int, *, attention: str = "eager") -> nn.Module:
    """The same transformer as transformers itself runs it, for instance with its own eager attention.

    Raises:
        ModelError: an unknown family.
    """
    if family not in CONFIGURATIONS:
        raise ModelError("Unknown family of random models", expected=", ".join(CONFIGURATIONS), got=repr(family))
    with torch.random.fork_rng():  # transformers initialises from global state; what it draws is overwritten below
        network: nn.Module = AutoModelForCausalLM.from_config(
            CONFIGURATIONS[family](layers), attn_implementation=attention
        )
    fill_at_random(network, seed)
    return network.eval()


def fill_at_random(module: nn.Module, seed: int) -> None:
    """Draw every parameter of a module anew; each has a stream of its own name."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            stream = torch.Generator().manual_seed(zlib.crc32(f"{seed}:{name}".encode()))  # torch reads 32 bits
            drawn = torch.randn(parameter.shape, generator=stream)
            is_scale = parameter.dim() == 1 and name.endswith("weight")
            parameter.copy_(1 + 0.2 * drawn if is_scale else 0.3 * drawn)
