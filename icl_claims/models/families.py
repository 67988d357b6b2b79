"""The architecture families that the project promises.

Attention, blocks and projections are discovered in whatever module a network has; nothing here adapts a family. A new
one takes a line in `FAMILIES`: lists in errors, random models and the tests of every family follow from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

SEPARATE = ("k_proj", "v_proj")
"""Names of projections that make keys or values alone."""


@dataclass(frozen=True)
class Fused:
    """A projection that makes queries, keys and values, a third of its outputs each, in this order.

    Args:
        name: its name in an attention module.
        axis: axis of the weight along which its outputs lie.
        by_head: whether the three follow each other head by head, not all queries, all keys, all values.
    """

    name: str
    axis: int
    by_head: bool

    def keys_and_values(self, parameter: Tensor, heads: int) -> Bool[Tensor, "..."]:
        """Which entries of its weight or bias make keys or values, broadcastable to the parameter."""
        axis = self.axis if parameter.dim() == 2 else 0
        outputs = parameter.shape[axis]
        period = outputs // heads if self.by_head else outputs
        part = torch.arange(outputs, device=parameter.device) % period >= period // 3
        return part[:, None] if parameter.dim() == 2 and axis == 0 else part


@dataclass(frozen=True)
class Family:
    """A family of architectures.

    Args:
        model_type: its name in transformers, which also names its random models.
        tiny: what its random models' configuration adds to the shape that all of them share; None if it has none.
        final_norm: name of the norm next to the list of blocks.
        fused: its projection of queries, keys and values; None where `SEPARATE` ones make keys and values.
    """

    title: str
    model_type: str
    tiny: Mapping[str, Any] | None
    final_norm: str = "norm"
    fused: Fused | None = None


_PLAIN = {"intermediate_size": 32}
_GATED = {**_PLAIN, "num_key_value_heads": 2}
_WINDOWED = {**_GATED, "sliding_window": 7}
_OPT = {"ffn_dim": 32, "word_embed_proj_dim": 16, "activation_function": "gelu"}  # as in the public fairseq models

FAMILIES = (
    Family("Llama", "llama", _GATED),
    Family("Qwen2", "qwen2", _GATED),
    Family("Mistral", "mistral", _WINDOWED),
    Family("Gemma 3", "gemma3_text", {**_WINDOWED, "head_dim": 4}),
    Family("OPT", "opt", _OPT, "final_layer_norm"),
    Family("GPT-2", "gpt2", {}, "ln_f", Fused("c_attn", axis=1, by_head=False)),
    Family("GPT-NeoX", "gpt_neox", _PLAIN, "final_layer_norm", Fused("query_key_value", axis=0, by_head=True)),
    Family("Phi", "phi", _PLAIN, "final_layernorm"),
    Family("XGLM", "xglm", None, "layer_norm"),  # runs as OPT, see fairseq.opt_of_xglm
)
TITLES = ", ".join(family.title for family in FAMILIES)
FUSED = tuple(family.fused for family in FAMILIES if family.fused is not None)
FINAL_NORMS = tuple(dict.fromkeys(family.final_norm for family in FAMILIES))
