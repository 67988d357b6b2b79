"""Layer-causal finetuning: each layer learns from its own prediction, blind to the layers above it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from icl_claims.methods.base import Learned
from icl_claims.methods.finetuning import (
    Loss,
    check_finite,
    finite,
    gradients_of,
    masters,
    sequence_loss,
    sgd_step,
    trainable,
)
from icl_claims.models.language_model import LanguageModel, next_token_losses
from icl_claims.models.values import number
from icl_claims.tasks.prompts import Demonstrations

Update = Literal["concurrent", "sequential"]
"""All layers step at once on the sum of their losses (the authors' code), or one after the other (their words)."""


@dataclass(frozen=True)
class LayerCausal:
    """Finetuning in which no layer's gradient reaches another.

    The output of every block goes through the model's final norm and projection head; the cross-entropy of that
    prediction is the block's own loss, and the block's input counts as a constant.

    Args:
        learning_rate: of every step.
        update: `concurrent`, or `sequential`: a block is updated, then run again with its new weights to feed the next.
        loss: which tokens of a demonstration are learned.
        name: the method's name in tables.

    Source: "Rethinking ...", section 3.4, figure 2 (sequential); "Understanding ...", section 3.1, figure 1 (summed).
    """

    learning_rate: float
    update: Update = "concurrent"
    loss: Loss = "all_tokens"
    name: str = "layer_causal"

    def learn(self, model: LanguageModel, demonstrations: Demonstrations) -> Learned:
        """Take one step, of all layers, on each demonstration.

        Raises:
            DivergenceError: a loss or a weight is not finite.
        """
        step_once = self._concurrent_step if self.update == "concurrent" else self._sequential_step
        weights, losses = masters(model.tuned_values()), []
        for step, sequence in enumerate(demonstrations.sequences):
            loss, weights = step_once(model, weights, sequence)
            losses.append(finite(loss, self.name, step, self.learning_rate))
        weights = model.as_parameters(weights)
        check_finite(weights.values(), self.name, len(losses), self.learning_rate)
        opening = model.read_prefix(demonstrations.context[:1], weights)
        return Learned(model, opening, weights, tuple(losses))

    def _concurrent_step(
        self, model: LanguageModel, weights: Mapping[str, Tensor], sequence: Sequence[int]
    ) -> tuple[float, dict[str, Tensor]]:
        leaves = trainable(weights)
        total = torch.stack(block_losses(model, leaves, sequence, self.loss)).sum()
        gradients = gradients_of(total, list(leaves.values()), model.dtype)
        return number(total), sgd_step(model.tuned_parameters, weights, gradients, self.learning_rate)

    def _sequential_step(
        self, model: LanguageModel, weights: Mapping[str, Tensor], sequence: Sequence[int]
    ) -> tuple[float, dict[str, Tensor]]:
        updated, total = dict(weights), 0.0
        by_layer = [[p for p in model.tuned_parameters if p.layer == layer] for layer in range(model.layers)]

        def update_block(layer: int, block: nn.Module, args: Any, kwargs: Any, _output: Any) -> Any:
            nonlocal total
            name = model.blocks.names[layer] + "."
            leaves = trainable({p.name: updated[p.name] for p in by_layer[layer]})
            with torch.enable_grad():
                output = _run_block(block, name, model.as_parameters(leaves), args, kwargs)
                loss = self._block_loss(model, _hidden(output), sequence)
                gradients = gradients_of(loss, list(leaves.values()), model.dtype)
            total += number(loss)
            updated.update(sgd_step(by_layer[layer], updated, gradients, self.learning_rate))
            own = model.as_parameters({p.name: updated[p.name] for p in by_layer[layer]})
            return _run_block(block, name, own, args, kwargs)

        with torch.no_grad(), _around_blocks(model, after=update_block):
            model.sequence_logits(sequence, weights)
        return total, updated

    def _block_loss(self, model: LanguageModel, hidden: Tensor, sequence: Sequence[int]) -> Tensor:
        return sequence_loss(next_token_losses(model.blocks.read(hidden)[0], sequence), self.loss)


def block_losses(
    model: LanguageModel, weights: Mapping[str, Tensor], sequence: Sequence[int], loss: Loss = "all_tokens"
) -> list[Tensor]:
    """The loss of every block's own prediction, lowest first, each with a graph that ends at the block's input.

    Returns:
        One scalar a block, in nats per token, differentiable in the block's own entries of `weights` only.
    """
    losses: list[Tensor] = []

    def detach(args: Any, kwargs: Any) -> tuple[Any, Any]:
        return tuple(a.detach() if isinstance(a, Tensor) else a for a in args), {
            name: value.detach() if name == "hidden_states" else value for name, value in kwargs.items()
        }

    def read(_layer: int, _block: nn.Module, _args: Any, _kwargs: Any, output: Any) -> None:
        logits = model.blocks.read(_hidden(output))[0]
        losses.append(sequence_loss(next_token_losses(logits, sequence), loss))

    with _around_blocks(model, before=detach, after=read):
        model.sequence_logits(sequence, weights)
    return losses


def _hidden(output: Any) -> Tensor:
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden


def _run_block(block: nn.Module, prefix: str, weights: Mapping[str, Tensor], args: Any, kwargs: Any) -> Any:
    """A block with some of its parameters replaced, without its hooks."""
    hooks, block._forward_hooks = block._forward_hooks, type(block._forward_hooks)()
    try:
        own = {name.removeprefix(prefix): value for name, value in weights.items()}
        return functional_call(block, own, args, kwargs)
    finally:
        block._forward_hooks = hooks


@contextmanager
def _around_blocks(model: LanguageModel, *, after: Any, before: Any = None) -> Iterator[None]:
    handles = []
    for layer, block in enumerate(model.blocks.modules):
        if before is not None:
            handles.append(
                block.register_forward_pre_hook(lambda _m, args, kwargs: before(args, kwargs), with_kwargs=True)
            )
        handles.append(
            block.register_forward_hook(
                lambda module, args, kwargs, output, layer=layer: after(layer, module, args, kwargs, output),
                with_kwargs=True,
            )
        )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
