"""The architecture families that the project promises, and the key and value projections of their modules.

Attention, blocks and projections are discovered in whatever module a network has; nothing here adapts a family. A new
one takes a line in `FAMILIES`: lists in errors, random models and the tests of every family follow from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from icl_claims.errors import ModelError
from icl_claims.models.precision import as_float, at_least_single

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

    def keys_and_values(self, parameter: Tensor, heads: int) -> Bool[Tensor, ...]:
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
    Family("XGLM", "xglm", None, "layer_norm"),  # runs as OPT, see fairseq_model.opt_of_xglm
)
TITLES = ", ".join(family.title for family in FAMILIES)
FUSED = tuple(family.fused for family in FAMILIES if family.fused is not None)
FINAL_NORMS = tuple(dict.fromkeys(family.final_norm for family in FAMILIES))


@dataclass(frozen=True, eq=False)
class TunedParameter:
    """A parameter that holds keys or values of one layer.

    Args:
        layer: 0-based index of its attention layer.
        part: which entries hold keys or values, broadcastable to the parameter; None when all do.
    """

    name: str
    layer: int
    part: Bool[Tensor, ...] | None = None

    def only_tuned(self, gradient: Tensor) -> Tensor:
        """The gradient with every entry that is not tuned set to 0."""
        return gradient if self.part is None else gradient * self.part.to(gradient)


def layer_norms(parameters: Iterable[TunedParameter], values: Iterable[Tensor]) -> dict[int, float]:
    """L2 norm, over the entries that hold keys or values, of each layer that has any of the parameters.

    Args:
        parameters: tuned parameters of some layers.
        values: a tensor for each parameter, of its shape: the parameters themselves, their changes or gradients.
    """
    squares: dict[int, float] = {}
    for parameter, value in zip(parameters, values, strict=True):
        norm = as_float(torch.linalg.vector_norm(at_least_single(parameter.only_tuned(value))))
        squares[parameter.layer] = squares.get(parameter.layer, 0.0) + norm**2
    return {layer: math.sqrt(square) for layer, square in squares.items()}


def key_value_parameters(network: nn.Module, attention_modules: Sequence[nn.Module]) -> tuple[TunedParameter, ...]:
    """K and V projections, weights and biases, of every attention layer, in order.

    Projections fused with the query's (GPT-2's `c_attn`, GPT-NeoX's `query_key_value`) are tuned on K and V only.

    Raises:
        ModelError: an attention module keeps its projections in a way that is not known here.
    """
    name_of = {id(module): name for name, module in network.named_modules()}
    found: list[TunedParameter] = []
    attention: Any
    for layer, attention in enumerate(attention_modules):
        prefix = name_of[id(attention)]
        if all(hasattr(attention, projection) for projection in SEPARATE):
            found += [
                TunedParameter(f"{prefix}.{projection}.{name}", layer)
                for projection in SEPARATE
                for name, _ in getattr(attention, projection).named_parameters()
            ]
            continue
        fused = next((fused for fused in FUSED if hasattr(attention, fused.name)), None)
        if fused is None:
            raise ModelError(
                f"The key and value projections of {type(attention).__name__} were not found",
                expected=f"{' and '.join(SEPARATE)}, or a fused {' or '.join(fused.name for fused in FUSED)}",
                todo=f"Use a model of one of these families: {TITLES}.",
            )
        heads = attention.config.num_attention_heads
        found += [
            TunedParameter(f"{prefix}.{fused.name}.{name}", layer, fused.keys_and_values(parameter, heads))
            for name, parameter in getattr(attention, fused.name).named_parameters()
        ]
    return tuple(found)
