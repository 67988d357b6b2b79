"""Finetuning: one pass of stochastic gradient descent over the demonstrations, on the K and V projections only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from icl_claims.methods.base import Descending, Known, Learned, Stepping, learned_by, name_of, rate_of, title_with
from icl_claims.methods.descent import (
    Clipping,
    finite,
    gradients_of,
    masters,
    sequence_loss,
    sgd_step,
    trainable,
    tuned,
)
from icl_claims.models import LanguageModel, TunedParameter, Weights, as_float, layer_norms
from icl_claims.protocol import Loss
from icl_claims.tasks import Demonstrations

Step = tuple[float, dict[str, Tensor], dict[int, float]]
"""The loss, summed over predictions, the new weights, and the norm of each layer's gradients before clipping."""


@dataclass(frozen=True)
class Finetuning(Stepping):
    """Standard finetuning as the authors ran it: SGD without momentum, one demonstration a step, in order.

    >>> Finetuning(0.01).name, Finetuning(loss="label_only").title
    ('finetuning', 'finetuning, of labels alone')

    Args:
        learning_rate: of every step.
        loss: cross-entropy, mean over these tokens of the demonstration; None for those of its protocol.
        clip: of every step's gradients; None for no clipping.

    Source: protocol of the authors' code; neither paper states it.
    """

    loss: Loss | None = None
    clip: Clipping | None = None
    diagnosed: ClassVar[bool] = True
    definition: ClassVar[str] = (
        "One step of stochastic gradient descent for each demonstration, on the key and value projections of all "
        "layers."
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", name_of("finetuning", self.loss, self.clip))

    @property
    def title(self) -> str:
        """finetuning, finetuning clipped at 12, ..."""
        return title_with("finetuning", self.loss, self.clip)

    @property
    def look(self) -> int | None:
        """Its place among the lines of figures; None where something about it is particular."""
        return 2 if self.variant_of is None else None

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Take one step on each demonstration.

        Raises:
            DivergenceError: a loss or a weight is not finite.
        """
        descent = Descent.of(self, model, demonstrations, known, self.loss, self.clip)
        return descent.learned(partial(descent.step, _loss_of_sequence))


def _loss_of_sequence(model: LanguageModel, weights: Weights, sequence: Sequence[int], loss: Loss) -> Tensor:
    return sequence_loss(model.sequence_logits(sequence, weights), sequence, loss)


@dataclass(frozen=True, eq=False)
class Descent:
    """One step on each demonstration: on which loss, clipped how, and what standard finetuning learned if that bounds.

    A step is taken on all parameters at once (`step`), or on some of them (`moved`).
    """

    method: Descending
    model: LanguageModel
    demonstrations: Demonstrations
    loss: Loss
    clip: Clipping | None
    finetuned: Learned | None

    @classmethod
    def of(
        cls,
        method: Descending,
        model: LanguageModel,
        demonstrations: Demonstrations,
        known: Known | None,
        loss: Loss | None,
        clip: Clipping | None,
    ) -> Descent:
        """That of a method; loss and the norm that is clipped are the protocol's where it names none."""
        protocol, finetuned = demonstrations.protocol, None
        if clip is not None and clip.to_finetuning:
            finetuned = learned_by(Finetuning(method.learning_rate, loss), model, demonstrations, known or {})
        return cls(method, model, demonstrations, loss or protocol.loss, clip and clip.under(protocol), finetuned)

    def learned(self, step: Callable[[Weights, Sequence[int]], Step], predictions: int = 1) -> Learned:
        """Where the steps lead from the pretrained weights."""
        weights, losses, norms = masters(self.model.tuned_values()), [], []
        for number, sequence in enumerate(self.demonstrations.sequences):
            loss, weights, of_step = step(weights, sequence)
            losses.append(finite(loss, self.method, number, predictions))
            norms.append(of_step)
        return tuned(self.method, self.model, self.demonstrations, weights, losses, norms)

    def step(self, loss_of: Callable[..., Tensor], weights: Weights, sequence: Sequence[int]) -> Step:
        """A step of all parameters at once on the loss of a model, weights, a sequence, and which tokens count."""
        leaves = trainable(weights)
        loss = loss_of(self.model, leaves, sequence, self.loss)
        gradients = gradients_of(loss, list(leaves.values()), self.model.dtype)
        return as_float(loss), *self.moved(self.model.tuned_parameters, weights, gradients)

    def moved(
        self, parameters: Sequence[TunedParameter], weights: Weights, gradients: Sequence[Tensor]
    ) -> tuple[dict[str, Tensor], dict[int, float]]:
        """The new weights of some parameters, and the norms of their layers' gradients before clipping."""
        norms = layer_norms(parameters, gradients)
        if self.clip is not None:
            gradients = self.clip.clip(parameters, gradients, self.finetuned)
        return sgd_step(parameters, weights, gradients, rate_of(self.method)), norms
