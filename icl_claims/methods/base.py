"""What every method of learning from demonstrations has in common: learn, then answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.errors import DivergenceError, ModelError
from icl_claims.models.attention import Prefix
from icl_claims.models.language_model import LanguageModel, Weights
from icl_claims.tasks.prompts import Demonstrations, Queries


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method says to a batch of queries.

    Args:
        log_probabilities: of each label's verbalizer, over the whole vocabulary, in nats.
        attention_outputs: of every layer at the probe position.
        scores: pre-softmax attention scores of the probe position over the query's own tokens.
    """

    log_probabilities: Float[Tensor, "queries labels"]
    attention_outputs: Float[Tensor, "layers queries hidden"]
    scores: Float[Tensor, "layers heads queries width"]


@dataclass(frozen=True, eq=False)
class Learned:
    """What a method took from its demonstrations: a prefix, a change of weights, or neither.

    Args:
        model: the model that learned; its own parameters are as pretrained.
        prefix: what stands before every query.
        weights: values of the parameters that learning changed.
        losses: of every learning step, in nats per token.
    """

    model: LanguageModel
    prefix: Prefix
    weights: Weights = field(default_factory=dict)
    losses: tuple[float, ...] = ()

    def answer(self, queries: Queries) -> Answer:
        """Answer a batch of queries, none of which sees another.

        Raises:
            DivergenceError: logits are not finite after a change of weights.
            ModelError: logits are not finite as pretrained.
        """
        try:
            seen = self.model.answer(
                queries.rows, self.prefix, answer_at=queries.answer_at, probe_at=queries.probe_at, weights=self.weights
            )
        except ModelError as error:
            if not self.weights:
                raise
            raise DivergenceError(
                "Learning diverged",
                expected="weights that give finite logits",
                got="NaN or infinity",
                todo="Use a smaller learning rate.",
            ) from error
        labels = torch.tensor(queries.label_ids, device=seen.logits.device)
        return Answer(seen.logits.log_softmax(-1)[:, labels], seen.attention_outputs, seen.scores)


class Method(Protocol):
    """A way of learning from demonstrations."""

    @property
    def name(self) -> str:
        """The method's name in tables: `zero_shot`, `in_context`, `finetuning`, ..."""
        ...

    def learn(self, model: LanguageModel, demonstrations: Demonstrations) -> Learned:
        """Learn, leaving the model itself as it was."""
        ...
