"""Controls at the level of updates: what a similarity would be if an update of this size meant nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from icl_claims import errors, models
from icl_claims.methods.base import Method, learner_of, learns_weights
from icl_claims.metrics import Answer


@dataclass(frozen=True, eq=False)
class Batch:
    """The answers to a batch of queries.

    Args:
        queries: Index of each query in the trial; its draws follow from it, whatever the batch.
        partners: For each query, the place in the batch of another one, the same however queries are batched; None if
            there is only one query.
    """

    answers: Mapping[str, Answer]
    zero_shot: Answer
    queries: Sequence[int]
    partners: Sequence[int] | None
    seed: int


@dataclass(frozen=True)
class GaussianUpdate:
    """In place of a method's update, a Gaussian one of the same length for every query and layer, and every head."""

    of: Method
    definition: ClassVar[str] = "a Gaussian update of the same length as the method's"

    @property
    def name(self) -> str:
        """`gaussian_of_finetuning`, ..."""
        return f"gaussian_of_{self.of.name}"

    @property
    def title(self) -> str:
        """A Gaussian update as long as that of finetuning, ..."""
        return f"a Gaussian update as long as that of {self.of.title}"

    def answer(self, batch: Batch) -> Answer | None:
        """Zero-shot's answer plus the Gaussian update; a query's draws follow from its index in the trial.

        Returns:
            Attention outputs and scores, these 0 beyond a query's own width; all else is zero-shot's.

        Raises:
            UsageError: one of the two answers has no scores.
        """
        answer = batch.answers[self.of.name]
        outputs, scores = _updates(answer, batch.zero_shot)
        layers, heads, _, _ = scores.shape
        drawn_outputs, drawn_scores = torch.zeros_like(outputs), torch.zeros_like(scores)
        for row, query in enumerate(batch.queries):
            stream, width = np.random.default_rng((batch.seed, query, 1)), answer.widths[row]
            of_query = stream.standard_normal((layers, outputs.shape[-1]))
            drawn_outputs[:, row] = torch.from_numpy(of_query).to(outputs)
            drawn_scores[:, :, row, :width] = torch.from_numpy(stream.standard_normal((layers, heads, width))).to(
                scores
            )
        return _moved(batch.zero_shot, _as_long_as(outputs, drawn_outputs), _as_long_as(scores, drawn_scores))


@dataclass(frozen=True)
class AnotherQuerysUpdate:
    """In the place of a method's update for a query, the one that it makes for another query."""

    of: Method
    definition: ClassVar[str] = "the update that the same method makes for another query"

    @property
    def name(self) -> str:
        """`other_query_of_finetuning`, ..."""
        return f"other_query_of_{self.of.name}"

    @property
    def title(self) -> str:
        """Another query's update by finetuning, ..."""
        return f"another query's update by {self.of.title}"

    def answer(self, batch: Batch) -> Answer | None:
        """Zero-shot's answer plus the update that the method makes for another query; None if there is only one query.

        Scores are aligned at the last tokens, where the template's words are the same; where the other query has no
        token, the update is 0.

        Returns:
            Attention outputs and scores, these 0 beyond a query's own width; all else is zero-shot's.

        Raises:
            UsageError: one of the two answers has no scores.
        """
        if batch.partners is None:
            return None
        answer = batch.answers[self.of.name]
        outputs, scores = _updates(answer, batch.zero_shot)
        others = torch.zeros_like(scores)
        for row, partner in enumerate(batch.partners):
            own_end, other_end = answer.widths[row], answer.widths[partner]
            common = min(own_end, other_end)
            others[:, :, row, own_end - common : own_end] = scores[:, :, partner, other_end - common : other_end]
        return _moved(batch.zero_shot, outputs[:, list(batch.partners)], others)


Null = GaussianUpdate | AnotherQuerysUpdate


def nulls_of_method(method: Method) -> tuple[Null, ...]:
    """The nulls of a method at the level of updates; none if it learns no weights, or from a changed prompt."""
    replaced = learns_weights(method) and learner_of(method) is method
    return (GaussianUpdate(method), AnotherQuerysUpdate(method)) if replaced else ()


def _updates(answer: Answer, zero_shot: Answer) -> tuple[Tensor, Tensor]:
    if answer.scores is None or zero_shot.scores is None:
        raise errors.UsageError(
            "A null of updates needs attention scores", got="the answer of a paraphrased method, which has none"
        )
    outputs = models.at_least_single(answer.attention_outputs) - models.at_least_single(zero_shot.attention_outputs)
    return outputs, models.at_least_single(answer.scores) - models.at_least_single(zero_shot.scores)


def _moved(zero_shot: Answer, outputs: Tensor, scores: Tensor) -> Answer:
    before = zero_shot.scores if zero_shot.scores is not None else torch.zeros_like(scores)
    outputs = zero_shot.attention_outputs + outputs
    moved = replace(zero_shot, attention_outputs=outputs, scores=before + scores)
    return replace(moved, lens=None, training_attention=None, likeliest=None)


def _as_long_as(update: Tensor, drawn: Tensor) -> Tensor:
    """Drawn vectors (last dimension) with the lengths of an update."""
    length, size = update.norm(dim=-1, keepdim=True), drawn.norm(dim=-1, keepdim=True)
    scale: Tensor = length / size.clamp_min(torch.finfo(size.dtype).tiny)
    return drawn * scale
