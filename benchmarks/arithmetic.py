"""How much arithmetic there is, and how fast this machine does the same products by themselves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from icl_claims.models.language_model import LanguageModel

BURST = 0.1  # seconds


def operations(model: LanguageModel, rows: Sequence[Sequence[int]], prefix_tokens: int) -> float:
    """Floating-point operations of the matrix products: linear layers, attention, and the head at one position a row.

    Causal attention of n tokens to themselves counts n (n + 1) / 2 pairs. Norms, rotations, activations and the softmax
    are not counted.
    """
    config = model.config
    heads = int(config.num_attention_heads)
    size = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    linear = sum(weights.numel() for weights in _linear(model))
    head = sum(p.numel() for p in model.blocks.head.parameters() if p.dim() == 2)
    pairs = sum(len(row) * prefix_tokens + len(row) * (len(row) + 1) / 2 for row in rows)
    return 2.0 * (linear * sum(map(len, rows)) + head * len(rows)) + 4.0 * model.layers * heads * size * pairs


@dataclass(frozen=True)
class MachineRate:
    """Floating-point operations a second of matrix products on this machine, now.

    Args:
        peak: rate of torch.matmul with the best of a block's linear layers' shapes, the same product again and again.
        products: rate of all the blocks' linear layers by themselves, one after another, with their own weights.
    """

    peak: float
    products: float


def machine_rate(model: LanguageModel, tokens: int) -> MachineRate:
    """How fast this machine multiplies so many tokens with the weights of a model's blocks."""
    weights = _linear(model)
    inputs = {inner: torch.zeros(tokens, inner) for inner in {w.shape[1] for w in weights}}
    shapes = sorted({tuple(w.shape) for w in weights})
    with torch.inference_mode():
        peak = max(_rate(inputs[inner], torch.zeros(inner, outer)) for outer, inner in shapes)
        start = time.perf_counter()
        for of_layer in weights:
            nn.functional.linear(inputs[of_layer.shape[1]], of_layer)
        spent = time.perf_counter() - start
    return MachineRate(peak, 2.0 * tokens * sum(w.numel() for w in weights) / spent)


def _linear(model: LanguageModel) -> list[torch.Tensor]:
    return [p for block in model.blocks.modules for p in block.parameters() if p.dim() == 2]


def _rate(left: torch.Tensor, right: torch.Tensor) -> float:
    torch.matmul(left, right)
    start, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < BURST:
        torch.matmul(left, right)
        done += 1
    return 2.0 * left.shape[0] * left.shape[1] * right.shape[1] * done / spent
