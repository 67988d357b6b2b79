"""What a network does, found by running it: where it attends, to what, with which projections, and that we do the same.

Nothing here knows a family. A network is accepted because its packed pass behind a prefix gives the numbers of its own
eager attention on plain prompts; the rest is found out from its calls on two tokens.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from icl_claims.errors import ModelError
from icl_claims.models.attention import NAME, AttentionCall, AttentionPass, registered_attention
from icl_claims.models.blocks import TRIED, Blocks, TunedParameter, hidden_of
from icl_claims.models.layout import Layout

CONTEXTS = ("max_position_embeddings", "n_positions", "max_seq_len")
NONE = torch.tensor(False)


@dataclass(frozen=True, eq=False)
class Inspection:
    """What a network did on two tokens.

    Args:
        calls: of its attention, lowest layer first.
        ran: its modules in the order in which they were done, and what each gave.
        outputs: what its projections gave.
    """

    network: nn.Module
    calls: tuple[AttentionCall, ...]
    ran: Mapping[nn.Module, Any]
    outputs: Mapping[nn.Module, Tensor]

    def blocks(self) -> Blocks:
        """The list of blocks that hold the attention modules, one each, and what runs after them.

        Raises:
            ModelError: some block attends in another way or not at all, or the network has no head.
        """
        name_of = {module: name for name, module in self.network.named_modules()}
        matches = [re.match(r"(.*\.\d+)(\.|$)", name_of[call.module]) for call in self.calls]
        names = [match.group(1) if match else "" for match in matches]
        stack = self.network.get_submodule(names[0].rpartition(".")[0])
        blocks = tuple(module for module in stack.children() if module in self.ran)
        if names != [name_of[block] for block in blocks]:
            raise ModelError(
                f"{type(self.network).__name__} does not run all of its attention through the registered function",
                expected="one list of blocks, each with one layer of softmax attention",
                got=f"{len(names)} such layers in {len(blocks)} blocks",
                todo=TRIED,
            )
        done = list(self.ran)
        after = done[done.index(blocks[-1]) + 1 :]
        beyond = tuple(module for module in after if blocks[-1] not in set(module.modules()))  # not what holds them
        return Blocks(
            self.network,
            stack,
            blocks,
            tuple(names),
            in_tuples=isinstance(self.ran[blocks[-1]], tuple),
            hidden=hidden_of(self.ran[blocks[-1]]).shape[-1],
            after=beyond,
            head_name=name_of[beyond[-1]],
        )

    def tuned_parameters(self) -> tuple[TunedParameter, ...]:
        """K and V projections, weights and biases, of every attention layer, in order.

        A projection that also makes something else, such as queries, is tuned on its keys and values only: the outputs
        on which they depend are found by differentiating them.

        Raises:
            ModelError: keys or values of a layer are not made by one projection each, or not by one of its own.
        """
        name_of = {module: name for name, module in self.network.named_modules()}
        found = []
        for layer, call in enumerate(self.calls):
            own = [module for module in call.module.modules() if module in self.outputs]
            queries, keys, values = (
                {module: used for module in own if (used := _depends(asked, self.outputs[module])).any()}
                for asked in (call.queries, call.keys, call.values)
            )
            made = {m: keys.get(m, NONE) | values.get(m, NONE) for m in (*keys, *values)}
            shared = any((queries[module] & used).any() for module, used in made.items() if module in queries)
            if len(keys) != 1 or len(values) != 1 or shared:
                raise ModelError(
                    f"The keys and values of {type(call.module).__name__} cannot be tuned",
                    expected="one projection of the hidden states for the keys, and one for the values, in every layer",
                    got=f"{len(keys)} for the keys and {len(values)} for the values of layer {layer}, as in multi-head "
                    "latent attention or in layers that share their keys",
                    todo=TRIED,
                )
            for module, used in made.items():
                for name, parameter in module.named_parameters(recurse=False):
                    along_rows = parameter.dim() == 2 and not _is_conv1d(module)
                    part = None if module not in queries else used[:, None] if along_rows else used
                    found.append(TunedParameter(f"{name_of[module]}.{name}", layer, part))
        return tuple(found)

    def first_difference(self, context: int) -> int:
        """The first position of a context where some layer's mask is not as ours; its end if there is none."""
        device = self.calls[0].queries.device
        for sees, window in {(call.sees, call.window) for call in self.calls if call.sees is not None}:

            def differs(place: int, sees: Any = sees, window: int | None = window, context: int = context) -> bool:
                return not _as_ours(sees, window, place, context, device)

            near = [0, 4, context - 1, window or 0, *(2**power for power in range(3, 25))]
            places = sorted({at + one for at in near for one in (-1, 0, 1) if 0 <= at + one < context})
            wrong = next(filter(differs, places), None)
            if wrong is not None:
                fine = max((place for place in places if place < wrong), default=-1)
                context = fine + 1 + bisect_left(range(fine + 1, wrong), True, key=differs)
        return context


def shares_any(network: nn.Module, tuned: Iterable[TunedParameter]) -> bool:
    """Whether some tensor that is tuned has two names in the network, so that whoever changes one changes both."""
    times = Counter(id(parameter) for _, parameter in network.named_parameters(remove_duplicate=False))
    return any(times[id(network.get_parameter(parameter.name))] > 1 for parameter in tuned)


def _is_conv1d(module: nn.Module) -> bool:
    """Whether a projection is GPT-2's: a linear map whose weight is transposed."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, Conv1D)


def _as_ours(sees: Callable[..., Any], window: int | None, position: int, context: int, device: torch.device) -> bool:
    """Whether a query at a position sees the keys of a context that our attention lets it see."""
    keys = torch.arange(context, device=device)
    first, query = keys[0], torch.tensor(position, device=device)
    asked = torch.as_tensor(sees(first, first, query, keys), device=device).expand(context)
    return bool((asked == ((keys <= position) & (position - keys < (window or context)))).all())


def _depends(made: Tensor, output: Tensor) -> Tensor:
    """Which features of a projection's output something depends on."""
    weights = torch.cos(torch.arange(made.numel(), device=made.device)).view(made.shape)  # no norm is blind to them
    if made.requires_grad:
        (gradient,) = torch.autograd.grad((made * weights).sum(), output, retain_graph=True, allow_unused=True)
        if gradient is not None:
            return (gradient != 0).flatten(0, -2).any(0)
    return torch.zeros(output.shape[-1], dtype=torch.bool, device=output.device)


def inspect(network: nn.Module, bos: int) -> Inspection:
    """Run a network on two tokens.

    Raises:
        ModelError: it fails, it does not call the registered attention, or one module calls it for several layers.
    """
    device = next(network.parameters()).device
    now = AttentionPass(Layout((2,), device), inspected=True)
    ran: dict[nn.Module, Any] = {}
    outputs: dict[nn.Module, Tensor] = {}

    def record(module: nn.Module, _inputs: Any, output: Any) -> Any:
        ran.pop(module, None)
        ran[module] = output
        if not (isinstance(module, nn.Linear) or _is_conv1d(module)) or not isinstance(output, Tensor):
            return None
        outputs[module] = output.detach().requires_grad_()
        return outputs[module].clone()  # its output begins a graph of its own

    with (
        refused_in_words(network),
        attending_as(network, registered_attention()),
        ExitStack() as hooks,
        torch.enable_grad(),
    ):
        for module in network.modules():
            hooks.enter_context(module.register_forward_hook(record))
        call: dict[str, Any] = {"position_ids": torch.arange(2, device=device)[None], "use_cache": False}
        with now.active():
            network(torch.full((1, 2), bos, device=device), **call)
    callers = {call.module for call in now.calls}
    if not now.calls or len(callers) < len(now.calls):
        raise ModelError(
            f"{type(network).__name__} does not run all of its attention through the registered function",
            expected="one call by every attention layer",
            got=f"{len(now.calls)} calls by {len(callers)} modules" if now.calls else "none: it computes its own",
            todo=TRIED,
        )
    return Inspection(network, tuple(now.calls), ran, outputs)


@contextmanager
def attending_as(network: Any, implementation: str) -> Iterator[None]:
    """While open, the network's attention is another of those that transformers knows."""
    network.set_attn_implementation(implementation)
    try:
        yield
    finally:
        network.set_attn_implementation(NAME)


@contextmanager
def refused_in_words(network: nn.Module) -> Iterator[None]:
    """While open, what a network raises becomes a refusal of it."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # networks raise errors of every kind
        first = (str(error).strip().splitlines() or ["no message"])[0][:200]
        raise ModelError(
            f"{type(network).__name__} cannot be used",
            expected="a decoder that answers token ids with logits",
            got=f"{type(error).__name__}: {first}",
            todo=TRIED,
        ) from error


def first_position(network: Any, bos: int) -> int:
    """The number that a network by itself gives to the position of a prompt's first token: what its embeddings read.

    RoBERTa and its kin count positions from behind that of the padding token.
    """
    read: dict[nn.Module, list[int]] = {}

    def record(module: nn.Module, args: Any, kwargs: Any) -> None:
        given = kwargs.get("position_ids", args[-1] if args else None)
        if isinstance(given, Tensor) and not given.is_floating_point() and given.numel() == 2:
            read.setdefault(module, []).append(int(given.flatten()[0]))

    device = next(network.parameters()).device
    ids, places = torch.full((1, 2), bos, device=device), torch.arange(2, device=device)[None]
    with refused_in_words(network), attending_as(network, "eager"), ExitStack() as hooks, torch.inference_mode():
        for module in network.modules():
            if isinstance(module, nn.Embedding):
                hooks.enter_context(module.register_forward_pre_hook(record, with_kwargs=True))
        network(ids, use_cache=False)
        network(ids, position_ids=places, use_cache=False)
    return max((by_itself - told for by_itself, told in read.values() if by_itself != told), default=0)


def longest_context(config: Any) -> int:
    """The longest sequence, in tokens, that a configuration speaks of, and at which its positions keep their meaning.

    Raises:
        ModelError: it speaks of none.
    """
    bounds = [getattr(config, name, None) for name in CONTEXTS]
    rotary = getattr(config, "rope_parameters", None) or {}
    for of_layers in (rotary, *(value for value in rotary.values() if isinstance(value, dict))):
        if of_layers.get("rope_type") in ("longrope", "dynamic"):  # other frequencies for longer prompts
            bounds.append(of_layers.get("original_max_position_embeddings", None))
            bounds.append(getattr(config, "original_max_position_embeddings", None))
    known = [int(bound) for bound in bounds if bound]
    if not known:
        raise ModelError(
            f"The configuration of {config.model_type} names no longest context",
            expected=f"one of {', '.join(CONTEXTS)}",
            todo="Add max_position_embeddings to its config.json.",
        )
    return min(known)
