"""Finetuning: one pass of stochastic gradient descent over the demonstrations, on the K and V projections only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from icl_claims.methods.base import Known, Learned, learned_by, name_of, rate_of, title_with
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
from icl_claims.models import LanguageModel, as_float, layer_norms
from icl_claims.protocol import Loss
from icl_claims.tasks import Demonstrations


@dataclass(frozen=True)
class Finetuning:
    """Standard finetuning as the authors ran it: SGD without momentum, one demonstration a step, in order.

    >>> Finetuning(0.01).name, Finetuning(loss="label_only").title
    ('finetuning', 'finetuning, of labels alone')

    Args:
        learning_rate: of every step.
        loss: cross-entropy, mean over these tokens of the demonstration; None for those of its protocol.
        clip: of every step's gradients; None for no clipping.

    Source: protocol of the authors' code; neither paper states it.
    """

    learning_rate: float | None = None
    loss: Loss | None = None
    clip: Clipping | None = None
    name: str = field(init=False)
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

    @property
    def variant_of(self) -> Finetuning | None:
        """Standard finetuning, where something about this one is particular."""
        plain = Finetuning(self.learning_rate)
        return None if plain.name == self.name else plain

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Take one step on each demonstration.

        Raises:
            DivergenceError: a loss or a weight is not finite.
        """
        protocol, finetuned = demonstrations.protocol, None
        counted, clip = self.loss or protocol.loss, self.clip and self.clip.under(protocol)
        if self.clip is not None and self.clip.to_finetuning:
            finetuned = learned_by(replace(self, clip=None), model, demonstrations, known or {})
        weights, losses, norms = masters(model.tuned_values()), [], []
        for step, sequence in enumerate(demonstrations.sequences):
            leaves = trainable(weights)
            loss = sequence_loss(model.sequence_logits(sequence, leaves), sequence, counted)
            gradients = gradients_of(loss, list(leaves.values()), model.dtype)
            losses.append(finite(as_float(loss), self, step))
            norms.append(layer_norms(model.tuned_parameters, gradients))
            if clip is not None:
                gradients = clip.clip(model.tuned_parameters, gradients, finetuned)
            weights = sgd_step(model.tuned_parameters, weights, gradients, rate_of(self))
        return tuned(self, model, demonstrations, weights, losses, norms)
