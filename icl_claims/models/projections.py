"""The key and value projections of a model: what finetuning tunes in both papers, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from icl_claims.errors import ModelError
from icl_claims.models.families import FUSED, SEPARATE, TITLES
from icl_claims.models.precision import at_least_single, number


@dataclass(frozen=True, eq=False)
class TunedParameter:
    """A parameter that holds keys or values of one layer.

    Args:
        name: the parameter's qualified name in the network.
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
        norm = number(torch.linalg.vector_norm(at_least_single(parameter.only_tuned(value))))
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
