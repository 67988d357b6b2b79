"""The loss of every block's own prediction, without ever holding the logits of more than a few blocks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from icl_claims.methods.descent import loss_scale
from icl_claims.models import ROWS_READ_AT_ONCE, Blocks, LanguageModel, at_least_single, hidden_of
from icl_claims.protocol import Loss


def block_losses(
    model: LanguageModel, weights: Mapping[str, Tensor], sequence: Sequence[int], loss: Loss = "all_tokens"
) -> list[Tensor]:
    """The loss of every block's own prediction, lowest first, each with a graph that ends at the block's input.

    Returns:
        One scalar a block, in nats per token, differentiable in the block's own entries of `weights` only.

    Source: "Understanding In-Context Learning ... Revisited", section 3.1 and figure 1.
    """
    outputs: list[Tensor] = []

    def keep(_layer: int, _args: Any, _kwargs: Any, output: Any) -> None:
        outputs.append(hidden_of(output))

    with model.blocks.around(before=detached, after=keep):
        model.sequence_logits(sequence, weights, keep=(0,))
    at_once = max(1, ROWS_READ_AT_ONCE // len(sequence))
    starts = range(0, len(outputs), at_once)
    return [
        loss_of_block
        for first in starts
        for loss_of_block in _losses(model.blocks, outputs[first : first + at_once], sequence, loss)
    ]


def block_loss(blocks: Blocks, hidden: Tensor, sequence: Sequence[int], loss: Loss) -> Tensor:
    """The loss of what final norm and head read from one block's output [1, tokens, hidden], differentiable in it."""
    (only,) = _losses(blocks, [hidden], sequence, loss)
    return only


def detached(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """What a block is called with, its input a constant."""
    return tuple(a.detach() if isinstance(a, Tensor) else a for a in args), {
        name: value.detach() if name == "hidden_states" else value for name, value in kwargs.items()
    }


def _losses(blocks: Blocks, outputs: Sequence[Tensor], sequence: Sequence[int], loss: Loss) -> Sequence[Tensor]:
    counted = sequence if loss == "all_tokens" else sequence[-2:]
    read: Callable[..., Tensor] = _HeadLosses.apply
    return read(blocks, list(counted[1:]), *(hidden[:, -len(counted) : -1] for hidden in outputs)).unbind()


class _HeadLosses(torch.autograd.Function):
    """Keeps the gradients in the hidden states, which are all that the head has to tell, instead of its logits."""

    @staticmethod
    def forward(ctx: Any, blocks: Blocks, wanted: list[int], *outputs: Tensor) -> Tensor:
        ctx.scale = loss_scale(outputs[0].dtype)
        device = next(blocks.head.parameters()).device
        with torch.enable_grad():
            hidden = torch.cat([output.detach().to(device) for output in outputs]).requires_grad_()
            logits = at_least_single(blocks.read(hidden)).flatten(0, 1)
            targets = torch.tensor(wanted, device=device).repeat(len(outputs))
            losses = nn.functional.cross_entropy(logits, targets, reduction="none").view(len(outputs), -1).mean(1)
            (gradients,) = torch.autograd.grad(losses.sum() * ctx.scale, hidden)
        ctx.save_for_backward(*(gradient.to(out.device) for gradient, out in zip(gradients, outputs, strict=True)))
        return losses.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_losses: Tensor) -> tuple[Tensor | None, ...]:
        gradients = (
            (gradient * (of_loss.to(gradient.device) / ctx.scale).to(gradient)).unsqueeze(0)
            for gradient, of_loss in zip(ctx.saved_tensors, of_losses, strict=True)
        )
        return None, None, *gradients
