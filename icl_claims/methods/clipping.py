"""Gradient clipping: a step's gradients are scaled down until a norm of theirs is within a bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from icl_claims.errors import UsageError
from icl_claims.methods.base import Learned
from icl_claims.models import TunedParameter, as_float, layer_norms
from icl_claims.protocol import ClippedNorm, Protocol

EPSILON = 1e-6  # as in fairseq, whose factor is min(1, bound / (norm + 1e-6))
NAMES = {"global_l2": "clip", "layer_l2": "clip_layers", "l_inf": "clip_linf", "finetuning": "clip_to_finetuning"}


@dataclass(frozen=True)
class Clipping:
    """How the gradients of a step are clipped, all of them or layer by layer.

    Args:
        at: The bound; None for `finetuning`, and only there.
        norm: The norm that is bound; None for that of the demonstrations' protocol. `finetuning` is the L2 norm of each
            layer's gradients, bound by their mean norm over the steps of standard finetuning.

    Raises:
        UsageError: a bound that is not above 0, or one too many or too few.
    """

    at: float | None = None
    norm: ClippedNorm | Literal["finetuning"] | None = None

    def __post_init__(self) -> None:
        if self.to_finetuning == (self.at is not None) or (self.at is not None and not self.at > 0):
            raise UsageError(
                f"Clipping by {self.norm or 'the norm of the protocol'} makes no sense",
                expected="no bound but finetuning's" if self.to_finetuning else "a bound above 0",
                got=f"at={self.at}",
            )

    @property
    def to_finetuning(self) -> bool:
        """Whether the bounds come from standard finetuning."""
        return self.norm == "finetuning"

    @property
    def by_layer(self) -> bool:
        """Whether each layer is clipped on its own."""
        return self.norm in ("layer_l2", "finetuning")

    @property
    def name(self) -> str:
        """As methods are named after it: `clip_12`, `clip_layers_1`, `clip_linf_0.1`, `clip_to_finetuning`."""
        return NAMES[self.norm or "global_l2"] + ("" if self.at is None else f"_{self.at:g}")

    def under(self, protocol: Protocol) -> Clipping:
        """The same with the norm that a protocol names, if it has none of its own."""
        return self if self.norm else replace(self, norm=protocol.clip_norm)

    @property
    def title(self) -> str:
        """As methods are called after it in print: `clipped at 12`, `clipped to the norms of finetuning`, ..."""
        if self.at is None:
            return "clipped to the norms of finetuning"
        of_norm = {"layer_l2": " in the L2 norm of each layer", "l_inf": " in the l∞ norm"}.get(self.norm or "", "")
        return f"clipped at {self.at:g}{of_norm}"

    def clip(
        self, parameters: Sequence[TunedParameter], gradients: Sequence[Tensor], finetuned: Learned | None = None
    ) -> tuple[Tensor, ...]:
        """The gradients times min(1, bound / (norm + 1e-6)) of the parameters' layers; bounds may be finetuning's."""
        norms = layer_norms(parameters, gradients)
        if self.norm == "global_l2":
            norms = dict.fromkeys(norms, math.hypot(*norms.values()))
        elif self.norm == "l_inf":
            norms = dict.fromkeys(norms, _largest_entry(parameters, gradients))
        factors = {layer: min(1.0, self._bound(layer, finetuned) / (norm + EPSILON)) for layer, norm in norms.items()}
        return tuple(g * factors[p.layer] for p, g in zip(parameters, gradients, strict=True))

    def _bound(self, layer: int, finetuned: Learned | None) -> float:
        if self.at is not None:
            return self.at
        if finetuned is None or finetuned.gradient_norms is None:
            raise UsageError(f"Clipping by {self.norm}", expected="what standard finetuning learned", got="none")
        return float(finetuned.gradient_norms[:, layer].mean())


def _largest_entry(parameters: Sequence[TunedParameter], gradients: Sequence[Tensor]) -> float:
    largest = (p.only_tuned(g).abs().max() for p, g in zip(parameters, gradients, strict=True))
    return max(as_float(entry) for entry in largest)
