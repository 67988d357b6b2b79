"""What methods work on in a network: the key and value projections, the decoder blocks, the final norm and the head.

Reading a tensor's value waits for its device, and tensors on the meta device have none: that, too, is seen to here.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.func import functional_call

TRIED = "Use another model: docs/models.md lists the architectures that were tried."


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


BeforeBlock = Callable[[Any, Any], Any]
"""Takes a block's positional and keyword arguments; returns those that the block is called with."""

AfterBlock = Callable[[int, Any, Any, Any], Any]
"""Takes a block's layer, positional and keyword arguments and output; returns another output, or None."""


class _Stand(nn.Module):
    """Stands where another module stands and answers in its place; whatever else is asked of it, that one answers."""

    def __init__(self, stood_for: nn.Module, answer: Callable[..., Any]) -> None:
        super().__init__()
        self.__dict__["stood_for"] = stood_for  # not a submodule: its parameters are not registered again
        self.answer = answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["stood_for"], name)

    def forward(self, *args: Any, **_kwargs: Any) -> Any:
        return self.__dict__["answer"](*args)


@dataclass(frozen=True, eq=False)
class Blocks:
    """The stack of a decoder.

    Args:
        network: the whole model.
        stack: its list of blocks.
        modules: the blocks, lowest first; each maps hidden states to hidden states.
        names: their qualified names in the network.
        in_tuples: whether a block gives a tuple that begins with its hidden states.
        hidden: size of a block's output.
        after: the modules that run after the blocks, such as the final norm; the last is the head.
        head_name: qualified name of the head in the network.
    """

    network: nn.Module
    stack: nn.Module
    modules: tuple[nn.Module, ...]
    names: tuple[str, ...]
    in_tuples: bool
    hidden: int
    after: tuple[nn.Module, ...]
    head_name: str

    @property
    def head(self) -> nn.Module:
        """The map from hidden states to logits over the vocabulary."""
        return self.after[-1]

    def read(self, hidden: Float[Tensor, "*places hidden"]) -> Float[Tensor, "*places vocabulary"]:
        """Logits that a block's output would give if it were the last.

        The network itself runs, with blocks that give this output: all that it does after its last block belongs to
        every block's prediction, be it a norm, a projection, the head, or the scaling and capping of logits.
        """
        flat = hidden.reshape(1, -1, hidden.shape[-1])
        given = (flat,) if self.in_tuples else flat
        stands = {name: _Stand(block, lambda *_args: given) for name, block in self.stack._modules.items() if block}
        with _standing_in(self.stack, stands):
            ids = flat.new_zeros(flat.shape[:2], dtype=torch.long)  # a spread model answers where it is asked
            output: Any = self.network(ids, position_ids=torch.zeros_like(ids), use_cache=False)
        logits: Tensor = output.logits
        return logits.view(*hidden.shape[:-1], -1)

    @contextmanager
    def without_head(self) -> Iterator[list[Tensor]]:
        """While open, the head is not computed; the list gets what it is given, where its weights are."""
        seen: list[Tensor] = []

        def keep(given: Tensor) -> Tensor:
            seen.append(given.to(next(self.head.parameters()).device))
            return given

        with self._another_head(keep):
            yield seen

    def before_head(self, hidden: Float[Tensor, "rows hidden"]) -> Float[Tensor, "rows given"]:
        """What the head would be given if a block's output were the last."""
        with self.without_head() as seen:
            self.read(hidden)
        return seen[0].view(len(hidden), -1)

    def after_head(self, logits: Float[Tensor, "rows words"]) -> Float[Tensor, "rows words"]:
        """What the network makes of the logits that its head puts out."""
        some = torch.zeros(len(logits), self.hidden, dtype=logits.dtype, device=logits.device)
        with self._another_head(lambda _given: logits[None]):
            return self.read(some)

    @contextmanager
    def _another_head(self, answer: Callable[[Tensor], Tensor]) -> Iterator[None]:
        holder, _, name = self.head_name.rpartition(".")
        with _standing_in(self.network.get_submodule(holder), {name: _Stand(self.head, answer)}):
            yield

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


@contextmanager
def _standing_in(holder: nn.Module, stands: dict[str, _Stand]) -> Iterator[None]:
    """While open, some modules of a holder have another in their place."""
    modules, holder._modules = holder._modules, {**holder._modules, **stands}
    try:
        yield
    finally:
        holder._modules = modules


def hidden_of(output: Any) -> Tensor:
    """The hidden states in the output of a block, which some families wrap in a tuple."""
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden


@contextmanager
def outputs_at(modules: Sequence[nn.Module], places: Tensor | int) -> Iterator[list[Tensor]]:
    """While open, the list gets every module's output at some places of the sequence, in the order of the calls."""
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        hidden = hidden_of(output)
        kept.append(hidden[0, places.to(hidden.device) if isinstance(places, Tensor) else places])

    with ExitStack() as hooks:
        for module in modules:
            hooks.enter_context(module.register_forward_hook(keep))
        yield kept


@contextmanager
def output_replaced(module: nn.Module, places: Tensor, state: Float[Tensor, " hidden"]) -> Iterator[None]:
    """While open, a hidden state stands at some places of the sequence in the place of a module's own output."""

    def put(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        hidden = hidden_of(output).clone()
        hidden[0, places.to(hidden.device)] = state.to(hidden)
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handle = module.register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()
