"""Finetuning: one pass of stochastic gradient descent over the demonstrations, on the K and V projections only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from icl_claims.errors import DivergenceError
from icl_claims.methods.base import Learned
from icl_claims.models.language_model import LanguageModel, next_token_losses
from icl_claims.models.projections import TunedParameter
from icl_claims.models.values import all_finite, number
from icl_claims.tasks.prompts import Demonstrations

Loss = Literal["all_tokens", "label_only"]
"""Which tokens of a demonstration are learned: all after the first (the authors' code), or the label alone."""

FLOAT16_LOSS_SCALE = 128.0
"""About what the authors' mixed precision began with: 4, on a loss that is a sum over some 30 tokens."""


@dataclass(frozen=True)
class Finetuning:
    """Standard finetuning as the authors ran it: SGD without momentum, one demonstration a step, in order.

    Args:
        learning_rate: of every step.
        loss: cross-entropy, mean over these tokens of the demonstration.
        name: the method's name in tables.

    Source: protocol of the authors' code; neither paper states it.
    """

    learning_rate: float
    loss: Loss = "all_tokens"
    name: str = "finetuning"

    def learn(self, model: LanguageModel, demonstrations: Demonstrations) -> Learned:
        """Take one step on each demonstration.

        Raises:
            DivergenceError: a loss or a gradient is not finite.
        """
        weights, losses = masters(model.tuned_values()), []
        for step, sequence in enumerate(demonstrations.sequences):
            leaves = trainable(weights)
            loss = sequence_loss(next_token_losses(model.sequence_logits(sequence, leaves), sequence), self.loss)
            gradients = gradients_of(loss, list(leaves.values()), model.dtype)
            losses.append(finite(number(loss), self.name, step, self.learning_rate))
            weights = sgd_step(model.tuned_parameters, weights, gradients, self.learning_rate)
        weights = model.as_parameters(weights)
        check_finite(weights.values(), self.name, len(losses), self.learning_rate)
        opening = model.read_prefix(demonstrations.context[:1], weights)
        return Learned(model, opening, weights, tuple(losses))


def masters(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What is stepped on: float32 copies of values in half precision, and others as they are."""
    return {name: value.to(torch.promote_types(value.dtype, torch.float32)) for name, value in weights.items()}


def trainable(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same values as leaves of a new graph."""
    return {name: value.detach().requires_grad_() for name, value in weights.items()}


def sequence_loss(losses: Tensor, which: Loss) -> Tensor:
    """Mean cross-entropy over all tokens after the first, or of the last token (the label) alone."""
    return losses.mean() if which == "all_tokens" else losses[-1]


def gradients_of(loss: Tensor, leaves: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Gradients of a loss, in float16 by way of a larger loss, so that small ones do not vanish."""
    if dtype != torch.float16:
        return torch.autograd.grad(loss, leaves)
    return tuple(gradient / FLOAT16_LOSS_SCALE for gradient in torch.autograd.grad(loss * FLOAT16_LOSS_SCALE, leaves))


def sgd_step(
    parameters: Iterable[TunedParameter],
    weights: Mapping[str, Tensor],
    gradients: Iterable[Tensor],
    learning_rate: float,
) -> dict[str, Tensor]:
    """W - learning_rate * gradient, on the entries that hold keys or values."""
    with torch.no_grad():
        return {
            parameter.name: weights[parameter.name] - learning_rate * parameter.only_tuned(gradient)
            for parameter, gradient in zip(parameters, gradients, strict=True)
        }


def finite(loss: float, method: str, step: int, learning_rate: float) -> float:
    """The loss, if it is a number.

    Raises:
        DivergenceError: it is not.
    """
    if not math.isfinite(loss):
        raise DivergenceError(
            f"{method} diverged at step {step + 1}",
            expected="a finite loss",
            got=str(loss),
            todo=f"Use a learning rate below {learning_rate:g}.",
        )
    return loss


def check_finite(values: Iterable[Tensor], method: str, steps: int, learning_rate: float) -> None:
    """Raise where the last step left the numbers."""
    if not all(all_finite(value) for value in values):
        finite(math.nan, method, steps - 1, learning_rate)
