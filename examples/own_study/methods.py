"""A method of one's own: finetuning with Adam instead of plain gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from icl_claims import Learned
from icl_claims.methods.base import Known
from icl_claims.methods.descent import next_token_losses
from icl_claims.models.language_model import LanguageModel
from icl_claims.tasks import Demonstrations


@dataclass(frozen=True)
class Adam:
    """Finetuning of the key and value projections with Adam, one demonstration a step."""

    learning_rate: float = 0.01
    name: ClassVar[str] = "adam"
    title: ClassVar[str] = "finetuning with Adam"
    definition: ClassVar[str] = "A step of Adam in the place of each step of gradient descent (Kingma and Ba 2015)."

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Take one step on each demonstration."""
        weights = {name: value.clone().requires_grad_() for name, value in model.tuned_values().items()}
        optimizer, losses = torch.optim.Adam(weights.values(), lr=self.learning_rate), []
        for sequence in demonstrations.sequences:
            loss = next_token_losses(model.sequence_logits(sequence, weights), sequence).mean()
            gradients = torch.autograd.grad(loss, list(weights.values()))
            for parameter, gradient in zip(model.tuned_parameters, gradients, strict=True):
                weights[parameter.name].grad = parameter.only_tuned(gradient)
            optimizer.step()
            losses.append(loss.item())
        learned = {name: value.detach() for name, value in weights.items()}
        return Learned(model, model.read_prefix([demonstrations.bos], learned), learned, tuple(losses))
