"""Controls at the level of updates: what a similarity would be if an update of this size meant nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from icl_claims.errors import ModelError
from icl_claims.methods.base import Answer


def gaussian_update(answer: Answer, zero_shot: Answer, queries: Sequence[int], seed: int) -> Answer:
    """Zero-shot's answer with a Gaussian update as long as the method's, for every query, layer and (scores) head.

    Args:
        answer: of the method.
        zero_shot: without demonstrations, to the same batch.
        queries: index of each query of the batch in the trial; its draws follow from it, whatever the batch.
        seed: of the draws.

    Returns:
        Attention outputs and scores; nothing else of it is meaningful.

    Raises:
        ModelError: one of the two has no scores.
    """
    ours, before = _both_scores(answer, zero_shot)
    layers, _, hidden = answer.attention_outputs.shape
    heads, widths = ours.shape[1], answer.widths or (ours.shape[-1],) * ours.shape[2]
    outputs, scores = torch.zeros_like(answer.attention_outputs), torch.zeros_like(ours)
    for row, query in enumerate(queries):
        stream = np.random.default_rng((seed, query, 1))
        outputs[:, row] = torch.from_numpy(stream.standard_normal((layers, hidden))).to(outputs)
        drawn = torch.from_numpy(stream.standard_normal((layers, heads, widths[row])))
        scores[:, :, row, : widths[row]] = drawn.to(scores)
    return replace(
        zero_shot,
        attention_outputs=zero_shot.attention_outputs
        + _as_long_as(answer.attention_outputs - zero_shot.attention_outputs, outputs),
        scores=before + _as_long_as(ours - before, scores),
    )


def another_querys_update(answer: Answer, zero_shot: Answer, partners: Sequence[int]) -> Answer:
    """Zero-shot's answer with the update that the method makes for another query of the batch.

    Scores are aligned at the last token, where the template's words are the same; beyond the other query's own tokens
    the update is 0.

    Args:
        answer: of the method.
        zero_shot: without demonstrations, to the same batch.
        partners: for each query of the batch, the place of the other one in it.

    Returns:
        Attention outputs and scores; nothing else of it is meaningful.

    Raises:
        ModelError: one of the two has no scores.
    """
    ours, before = _both_scores(answer, zero_shot)
    widths = answer.widths or (ours.shape[-1],) * ours.shape[2]
    moved, updates = torch.zeros_like(ours), ours - before
    for row, partner in enumerate(partners):
        common = min(widths[row], widths[partner])
        own, others = slice(widths[row] - common, widths[row]), slice(widths[partner] - common, widths[partner])
        moved[:, :, row, own] = updates[:, :, partner, others]
    outputs = (answer.attention_outputs - zero_shot.attention_outputs)[:, list(partners)]
    return replace(zero_shot, attention_outputs=zero_shot.attention_outputs + outputs, scores=before + moved)


def _both_scores(answer: Answer, zero_shot: Answer) -> tuple[Tensor, Tensor]:
    if answer.scores is None or zero_shot.scores is None:
        raise ModelError("A control needs attention scores", expected="a method that is asked in the same words")
    return answer.scores, zero_shot.scores


def _as_long_as(update: Tensor, drawn: Tensor) -> Tensor:
    """Drawn vectors (last dimension) with the lengths of an update."""
    length, size = update.norm(dim=-1, keepdim=True), drawn.norm(dim=-1, keepdim=True)
    scale: Tensor = length / size.clamp_min(torch.finfo(size.dtype).tiny)
    return drawn * scale
