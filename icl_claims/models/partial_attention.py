"""Softmax attention in parts: over some of the keys at a time, each part with the weight that it has in the whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Part:
    """Attention over some of the keys.

    Args:
        attended: values, weighted by the softmax over this part's keys alone.
        log_mass: log of the sum of exp(score) over this part's keys, at least in single precision.
    """

    attended: Float[Tensor, "batch heads queries head_dim"]
    log_mass: Float[Tensor, "batch heads queries"]

    def together_with(self, other: Part) -> Float[Tensor, "batch heads queries head_dim"]:
        """Attention over the keys of both parts: each weighted by its share of the softmax's denominator."""
        share = torch.sigmoid(other.log_mass - self.log_mass)[..., None].to(self.attended.dtype)
        return torch.lerp(self.attended, other.attended, share)


def attend_part(
    q: Float[Tensor, "batch heads queries head_dim"],
    k: Float[Tensor, "batch heads keys head_dim"],
    v: Float[Tensor, "batch heads keys head_dim"],
    scale: float,
    seen: Bool[Tensor, "queries keys"] | None = None,
) -> Part:
    """Softmax attention over some keys.

    Args:
        q: queries.
        k: keys; a head that several query heads share may be expanded without a copy.
        v: values.
        scale: factor of every score.
        seen: which keys each query attends to; all if None. A part without keys for a query has no mass for it.
    """
    hidden = None
    if seen is not None:
        hidden = q.new_zeros(seen.shape).masked_fill(~seen, torch.finfo(q.dtype).min)
    if q.device.type == "cpu" and torch.is_inference_mode_enabled():
        return _attend_fused(q, k, v, scale, hidden)
    return _attend_plainly(q, k, v, scale, hidden)


def _attend_fused(q: Tensor, k: Tensor, v: Tensor, scale: float, hidden: Tensor | None) -> Part:
    """The kernel of scaled_dot_product_attention, which gives the log-sum-exp that the public function drops.

    It never holds all scores at once, and it can be differentiated in neither mode.
    """
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return Part(*kernel(q, k, v, 0.0, False, attn_mask=hidden, scale=scale))


def _attend_plainly(q: Tensor, k: Tensor, v: Tensor, scale: float, hidden: Tensor | None) -> Part:
    scores = (q * scale) @ k.transpose(-1, -2)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if hidden is not None:
        scores = scores + hidden
    return Part(scores.softmax(-1).to(v.dtype) @ v, scores.logsumexp(-1))
