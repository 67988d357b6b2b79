"""The decoder blocks of a model, its final norm and its head: where each layer's own prediction is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from icl_claims.errors import ModelError

FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "layer_norm")


@dataclass(frozen=True, eq=False)
class Blocks:
    """The stack of a decoder.

    Args:
        modules: the blocks, lowest first; each maps hidden states to hidden states.
        names: their qualified names in the network.
        final_norm: applied to the last block's output, before the head.
        head: from hidden states to logits over the vocabulary.
    """

    modules: tuple[nn.Module, ...]
    names: tuple[str, ...]
    final_norm: nn.Module
    head: nn.Module

    def read(self, hidden: Tensor) -> Tensor:
        """Logits that a block's output would give if it were the last: the pretrained projection head on it."""
        logits: Tensor = self.head(self.final_norm(hidden))
        return logits


def find_blocks(network: nn.Module, attention_modules: Sequence[nn.Module], head: nn.Module) -> Blocks:
    """The blocks that hold the attention modules, and the norm that stands beside their list.

    Raises:
        ModelError: attention modules do not lie in one list of blocks with a final norm beside it.
    """
    name_of = {id(module): name for name, module in network.named_modules()}
    modules = dict(network.named_modules())
    names = []
    for attention in attention_modules:
        match = re.match(r"(.*\.\d+)\.", name_of[id(attention)] + ".")
        names.append(match.group(1) if match else "")
    stacks = {name.rpartition(".")[0] for name in names}
    if len(stacks) == 1 and all(names):
        decoder = modules[stacks.pop().rpartition(".")[0]]
        norm = next(
            (getattr(decoder, name) for name in FINAL_NORMS if isinstance(getattr(decoder, name, None), nn.Module)),
            None,
        )
        if norm is not None:
            return Blocks(tuple(modules[name] for name in names), tuple(names), norm, head)
    raise ModelError(
        f"The blocks of {type(network).__name__} were not found",
        expected=f"attention layers in one list of blocks, with one of {', '.join(FINAL_NORMS)} beside it",
        todo="Use a model of a family that `icl-claims doctor` lists.",
    )
