"""Finetuning: one pass of stochastic gradient descent over the demonstrations, on the K and V projections only."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from torch import Tensor

from icl_claims.methods.base import Known, Learned, Stepping, name_of, title_with
from icl_claims.methods.descent import Clipping, Descent, sequence_loss
from icl_claims.models import LanguageModel, Weights
from icl_claims.protocol import Loss
from icl_claims.tasks import Demonstrations


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
        standard = replace(self, clip=None)
        descent = Descent.of(self, standard, model, demonstrations, known, self.loss, self.clip)
        return descent.learned(partial(descent.step, _loss_of_sequence))


def _loss_of_sequence(model: LanguageModel, weights: Weights, sequence: Sequence[int], loss: Loss) -> Tensor:
    return sequence_loss(model.read_out, model.head_input(sequence, weights), sequence, loss)
