"""The decoder blocks of a model, its final norm and its head: each layer's own prediction is read there."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from icl_claims.errors import ModelError
from icl_claims.models.families import FINAL_NORMS, TITLES
from icl_claims.models.precision import at_least_single

BeforeBlock = Callable[[Any, Any], Any]
"""Takes a block's positional and keyword arguments; returns those that the block is called with."""

AfterBlock = Callable[[int, Any, Any, Any], Any]
"""Takes a block's layer, positional and keyword arguments and output; returns another output, or None."""

ROWS_READ_AT_ONCE = 256
"""Positions whose logits are held at once: enough to pay for fetching the head's weights from memory."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """The stack of a decoder.

    Args:
        modules: the blocks, lowest first; each maps hidden states to hidden states.
        names: their qualified names in the network.
        final_norm: applied to the last block's output, before the head.
        head: map from hidden states to logits over the vocabulary.
    """

    modules: tuple[nn.Module, ...]
    names: tuple[str, ...]
    final_norm: nn.Module
    head: nn.Module

    def read(self, hidden: Tensor) -> Tensor:
        """Logits that a block's output would give if it were the last: the pretrained projection head on it."""
        logits: Tensor = self.head(self.final_norm(hidden))
        return logits

    def label_log_probabilities(
        self, outputs: Sequence[Float[Tensor, "rows hidden"]], label_ids: Sequence[int]
    ) -> Float[Tensor, "layers rows labels"]:
        """The logit lens: log-probabilities of the labels when final norm and head read the output of every block.

        A few blocks are read at a time: logits over the vocabulary are never held for all of them, and the head's
        weights are not fetched from memory for every one.

        Args:
            outputs: output of every block, lowest first, at the position of the answer.
            label_ids: the token of each label's verbalizer.

        Returns:
            Log-probability of each label's token over the whole vocabulary, in nats.

        Source: nostalgebraist 2020, "interpreting GPT: the logit lens".
        """
        device = next(self.head.parameters()).device
        wanted = torch.tensor(list(label_ids), device=device)
        read = []
        at_once = max(1, ROWS_READ_AT_ONCE // len(outputs[0]))
        for first in range(0, len(outputs), at_once):
            some = torch.stack([hidden.to(device) for hidden in outputs[first : first + at_once]])
            logits = at_least_single(self.read(some))
            read.append(logits[..., wanted] - logits.logsumexp(-1, keepdim=True))
        return torch.cat(read)

    @contextmanager
    def around(self, *, after: AfterBlock, before: BeforeBlock | None = None) -> Iterator[None]:
        """While open, functions run before and after every block."""
        handles = []
        for layer, block in enumerate(self.modules):
            if before is not None:
                handles.append(
                    block.register_forward_pre_hook(lambda _m, args, kwargs: before(args, kwargs), with_kwargs=True)
                )
            handles.append(
                block.register_forward_hook(
                    lambda _m, args, kwargs, output, layer=layer: after(layer, args, kwargs, output), with_kwargs=True
                )
            )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def run(self, layer: int, weights: dict[str, Tensor], args: Any, kwargs: Any) -> Any:
        """Run a block by itself, without the hooks of `around`, with some of its parameters replaced.

        Returns:
            The output of the block.
        """
        block, inside = self.modules[layer], f"{self.names[layer]}."
        hooks, block._forward_hooks = block._forward_hooks, type(block._forward_hooks)()
        try:
            own = {name.removeprefix(inside): value for name, value in weights.items()}
            return functional_call(block, own, args, kwargs)
        finally:
            block._forward_hooks = hooks


def hidden_of(output: Any) -> Tensor:
    """The hidden states in the output of a block, which some families wrap in a tuple."""
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden


def find_blocks(network: nn.Module, attention_modules: Sequence[nn.Module], head: nn.Module) -> Blocks:
    """The blocks that hold the attention modules, and the norm next to their list.

    Raises:
        ModelError: attention modules are not in one list of blocks with a final norm next to it.
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
        expected=f"attention layers in one list of blocks, and one of {', '.join(FINAL_NORMS)} beside it",
        todo=f"Use a model of one of these families: {TITLES}.",
    )
