"""What methods work on in a network: the key and value projections, the decoder blocks, the final norm and the head.

Reading a tensor's value waits for its device, and tensors on the meta device have none: that, too, is seen to here.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.func import functional_call

from icl_claims.errors import ModelError
from icl_claims.models.families import FINAL_NORMS, FUSED, SEPARATE, TITLES


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor holds numbers; on the meta device it has a shape only."""
    return not tensor.is_meta


def all_finite(tensor: Tensor) -> bool:
    """Whether no number of a tensor is NaN or infinite."""
    return not has_values(tensor) or bool(torch.isfinite(tensor).all())


def as_float(scalar: Tensor) -> float:
    """The number in a tensor of no dimensions; 0 on the meta device."""
    return float(scalar.detach()) if has_values(scalar) else 0.0


def at_least_single(tensor: Tensor) -> Tensor:
    """The tensor in single precision, or unchanged if it is in double."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


@dataclass(frozen=True, eq=False)
class TunedParameter:
    """A parameter that holds keys or values of one layer.

    Args:
        layer: 0-based index of its attention layer.
        part: which entries hold keys or values, broadcastable to the parameter; None when all do.
    """

    name: str
    layer: int
    part: Bool[Tensor, "..."] | None = None

    def only_tuned(self, gradient: Tensor) -> Tensor:
        """The gradient with every entry that is not tuned set to 0."""
        return gradient if self.part is None else gradient * self.part.to(gradient)


def layer_norms(parameters: Iterable[TunedParameter], values: Iterable[Tensor]) -> dict[int, float]:
    """L2 norm, over the entries that hold keys or values, of each layer that has any of the parameters.

    There is a value for each parameter, of its shape: the parameter itself, its change or its gradient.
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
    found = []
    attention: Any
    for layer, attention in enumerate(attention_modules):
        fused = next((fused for fused in FUSED if hasattr(attention, fused.name)), None)
        if all(hasattr(attention, projection) for projection in SEPARATE):
            fused = None
        elif fused is None:
            raise ModelError(
                f"The key and value projections of {type(attention).__name__} were not found",
                expected=f"{' and '.join(SEPARATE)}, or a fused {' or '.join(fused.name for fused in FUSED)}",
                todo=f"Use a model of one of these families: {TITLES}.",
            )
        for projection in (fused.name,) if fused else SEPARATE:
            for name, parameter in getattr(attention, projection).named_parameters():
                part = fused.keys_and_values(parameter, attention.config.num_attention_heads) if fused else None
                found.append(TunedParameter(f"{name_of[id(attention)]}.{projection}.{name}", layer, part))
    return tuple(found)


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

        Outputs are those at the position of the answer, lowest block first; a label's id is the token of its
        verbalizer. A few blocks are read at a time: logits over the vocabulary are never held for all of them, and the
        head's weights are not fetched from memory for every one.

        Returns:
            Log-probabilities over the whole vocabulary, in nats.

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
        with ExitStack() as hooks:
            for layer, block in enumerate(self.modules):
                if before is not None:
                    hooks.enter_context(
                        block.register_forward_pre_hook(lambda _m, args, kwargs: before(args, kwargs), with_kwargs=True)
                    )
                hooks.enter_context(
                    block.register_forward_hook(
                        lambda _m, args, kwargs, output, at=layer: after(at, args, kwargs, output), with_kwargs=True
                    )
                )
            yield

    def run(self, layer: int, weights: dict[str, Tensor], args: Any, kwargs: Any) -> Any:
        """The output of a block run by itself, without the hooks of `around`, with some of its parameters replaced."""
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
    modules = dict(network.named_modules())
    name_of = {id(module): name for name, module in modules.items()}
    matches = [re.match(r"(.*\.\d+)(\.|$)", name_of[id(attention)]) for attention in attention_modules]
    names = [match.group(1) if match else "" for match in matches]
    stacks = {name.rpartition(".")[0] for name in names}
    if len(stacks) == 1 and all(names):
        decoder = modules[stacks.pop().rpartition(".")[0]]
        beside = dict(decoder.named_children())
        if norms := [beside[name] for name in FINAL_NORMS if name in beside]:
            return Blocks(tuple(modules[name] for name in names), tuple(names), norms[0], head)
    raise ModelError(
        f"The blocks of {type(network).__name__} were not found",
        expected=f"attention layers in one list of blocks, and one of {', '.join(FINAL_NORMS)} beside it",
        todo=f"Use a model of one of these families: {TITLES}.",
    )
