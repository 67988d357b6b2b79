"""How much arithmetic there is, and how fast this machine does the same products by themselves."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from icl_claims.models.language_model import LanguageModel

BURST = 0.1  # seconds


def operations(model: LanguageModel, rows: Sequence[Sequence[int]], prefix_tokens: int) -> float:
    """Floating-point operations of the blocks' matrix products: linear layers, attention to the prefix and to itself.

    Causal attention of n tokens to themselves counts n (n + 1) / 2 pairs. The projection head, norms, rotations,
    activations and the softmax are not counted.
    """
    config = model.config
    heads = int(config.num_attention_heads)
    size = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    linear = sum(p.numel() for block in model.blocks.modules for p in block.parameters() if p.dim() == 2)
    pairs = sum(len(row) * prefix_tokens + len(row) * (len(row) + 1) / 2 for row in rows)
    return 2.0 * linear * sum(map(len, rows)) + 4.0 * model.layers * heads * size * pairs


def machine_rate(model: LanguageModel, tokens: int) -> float:
    """Operations a second of torch.matmul on this machine, now: the best of the shapes of the blocks' linear layers."""
    shapes = {tuple(p.shape) for p in model.blocks.modules[0].parameters() if p.dim() == 2}
    with torch.inference_mode():
        return max(_rate(torch.zeros(tokens, inner), torch.zeros(inner, outer)) for outer, inner in sorted(shapes))


def _rate(left: torch.Tensor, right: torch.Tensor) -> float:
    torch.matmul(left, right)
    start, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < BURST:
        torch.matmul(left, right)
        done += 1
    return 2.0 * left.shape[0] * left.shape[1] * right.shape[1] * done / spent
