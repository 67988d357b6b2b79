"""Finetuning: one pass of stochastic gradient descent over the demonstrations, on the K and V projections only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from icl_claims.errors import DivergenceError
from icl_claims.methods.base import Learned
from icl_claims.models.language_model import LanguageModel, next_token_losses
from icl_claims.models.projections import TunedParameter
from icl_claims.tasks.prompts import Demonstrations

Loss = Literal["all_tokens", "label_only"]
"""Which tokens of a demonstration are learned: all after the first (the authors' code), or the label alone."""


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
        weights, losses = model.tuned_values(), []
        for step, sequence in enumerate(demonstrations.sequences):
            leaves = trainable(weights)
            loss = sequence_loss(next_token_losses(model.sequence_logits(sequence, leaves), sequence), self.loss)
            gradients = torch.autograd.grad(loss, list(leaves.values()))
            losses.append(finite(float(loss.detach()), self.name, step, self.learning_rate))
            weights = sgd_step(model.tuned_parameters, weights, gradients, self.learning_rate)
        check_finite(weights.values(), self.name, len(losses), self.learning_rate)
        opening = model.read_prefix(demonstrations.context[:1], weights)
        return Learned(model, opening, weights, tuple(losses))


def trainable(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same values as leaves of a new graph."""
    return {name: value.detach().requires_grad_() for name, value in weights.items()}


def sequence_loss(losses: Tensor, which: Loss) -> Tensor:
    """Mean cross-entropy over all tokens after the first, or of the last token (the label) alone."""
    return losses.mean() if which == "all_tokens" else losses[-1]


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
    if not all(value.is_meta or bool(torch.isfinite(value).all()) for value in values):
        finite(math.nan, method, steps - 1, learning_rate)
