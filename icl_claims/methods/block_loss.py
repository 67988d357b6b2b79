"""The loss of every block's own prediction, without ever holding the logits of more than one block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from icl_claims.methods.descent import Loss, loss_scale, sequence_loss
from icl_claims.models.blocks import Blocks, hidden_of
from icl_claims.models.language_model import LanguageModel, next_token_losses


def block_losses(
    model: LanguageModel, weights: Mapping[str, Tensor], sequence: Sequence[int], loss: Loss = "all_tokens"
) -> list[Tensor]:
    """The loss of every block's own prediction, lowest first, each with a graph that ends at the block's input.

    Returns:
        One scalar a block, in nats per token, differentiable in the block's own entries of `weights` only.

    Source: "Understanding In-Context Learning ... Revisited", section 3.1 and figure 1.
    """
    losses: list[Tensor] = []

    def read(_layer: int, _args: Any, _kwargs: Any, output: Any) -> None:
        losses.append(block_loss(model.blocks, hidden_of(output), sequence, loss))

    with model.blocks.around(before=detached, after=read):
        model.sequence_logits(sequence, weights, keep=(0,))
    return losses


def block_loss(blocks: Blocks, hidden: Tensor, sequence: Sequence[int], loss: Loss) -> Tensor:
    """The loss of what final norm and head read from one block's output [1, tokens, hidden], differentiable in it."""
    read: Callable[..., Tensor] = _HeadLoss.apply
    return read(hidden, blocks, sequence, loss)


def detached(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """What a block is called with, its input a constant."""
    return tuple(a.detach() if isinstance(a, Tensor) else a for a in args), {
        name: value.detach() if name == "hidden_states" else value for name, value in kwargs.items()
    }


class _HeadLoss(torch.autograd.Function):
    """Keeps the gradient in the hidden states, which is all that the head has to tell, instead of its logits."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, blocks: Blocks, sequence: Sequence[int], loss: Loss) -> Tensor:
        ctx.scale = loss_scale(hidden.dtype)
        with torch.enable_grad():
            leaf = hidden.detach().requires_grad_()
            value = sequence_loss(next_token_losses(blocks.read(leaf)[0], sequence), loss)
            (gradient,) = torch.autograd.grad(value * ctx.scale, leaf)
        ctx.save_for_backward(gradient)
        return value.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_loss: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * (of_loss / ctx.scale).to(gradient), None, None, None
