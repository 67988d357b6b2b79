"""Softmax attention of packed rows over some of their keys at a time: a row's own, and those of a shared prefix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from icl_claims.models.layout import Layout


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

    def with_sinks(self, sinks: Float[Tensor, "#batch heads #queries"]) -> Part:
        """The part with one key more, of this score in each head and without a value: an attention sink."""
        share = torch.sigmoid(self.log_mass - sinks)[..., None].to(self.attended.dtype)
        return Part(self.attended * share, torch.logaddexp(self.log_mass, sinks.to(self.log_mass)))


@dataclass(frozen=True)
class Scores:
    """How scores are made of queries and keys, and which of them count.

    Args:
        scale: factor of every product of a query and a key.
        cap: scores are bent smoothly to lie between -cap and cap; None if they are not.
        window: tokens that a query sees, itself and those before it; None if all.
    """

    scale: float
    cap: float | None = None
    window: int | None = None

    def bent(self, scores: Tensor) -> Tensor:
        """Scores below the cap."""
        return scores if self.cap is None else self.cap * torch.tanh(scores / self.cap)


def attend_part(
    q: Float[Tensor, "batch heads queries head_dim"],
    k: Float[Tensor, "batch heads keys head_dim"],
    v: Float[Tensor, "batch heads keys head_dim"],
    made: Scores,
    seen: Bool[Tensor, "queries keys"] | None = None,
) -> Part:
    """Softmax attention of queries over some keys; a head that several query heads share may be expanded, uncopied.

    Each query attends to the keys that are `seen`; to all if that is None. A part without keys for a query has no mass
    for it.
    """
    hidden = None
    if seen is not None:
        hidden = q.new_zeros(seen.shape).masked_fill(~seen, torch.finfo(q.dtype).min)
    if q.device.type == "cpu" and torch.is_inference_mode_enabled() and made.cap is None:
        # gives the log-sum-exp that the public function drops, never holds all scores, and has no derivative
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        return Part(*kernel(q, k, v, 0.0, False, attn_mask=hidden, scale=made.scale))
    scores = made.bent((q * made.scale) @ k.transpose(-1, -2))
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if hidden is not None:
        scores = scores + hidden
    top = scores.detach().amax(-1, keepdim=True)
    shares = (scores - top).exp()  # torch's own log-sum-exp loses its graph to the derivative in forward mode
    mass = shares.sum(-1, keepdim=True)
    return Part((shares / mass).to(v.dtype) @ v, (mass.log() + top).squeeze(-1))


def by_key_head(q: Tensor, kv_heads: int) -> Tensor:
    """[heads, ...] as [kv_heads, group, ...]: query head h reads key head h // group."""
    return q.view(kv_heads, -1, *q.shape[1:])


def attend_alone(
    q: Tensor, k: Tensor, v: Tensor, made: Scores, layout: Layout
) -> Float[Tensor, "heads tokens head_dim"]:
    """Causal attention of a single row without a prefix; it has no forward-mode derivative."""
    seen = layout.sees_itself(made.window) if made.window is not None and made.window < layout.width else None
    return nn.functional.scaled_dot_product_attention(
        q[None], k[None], v[None], attn_mask=seen, is_causal=seen is None, scale=made.scale, enable_gqa=len(q) != len(k)
    )[0]


def attend_within(q: Tensor, k: Tensor, v: Tensor, made: Scores, layout: Layout) -> Part:
    """Attention of each row to itself; [kv_heads, group, tokens, ...]."""
    kv_heads, group = k.shape[0], q.shape[0] // k.shape[0]
    own_keys, own_values = (layout.pad(x)[:, :, None].expand(-1, -1, group, -1, -1).flatten(1, 2) for x in (k, v))
    part = attend_part(layout.pad(q), own_keys, own_values, made, layout.sees_itself(made.window))
    attended, log_mass = (by_key_head(layout.pack(x), kv_heads) for x in (part.attended, part.log_mass))
    return Part(attended, log_mass)


def attend_before(q: Tensor, keys: Tensor, values: Tensor, made: Scores, layout: Layout) -> Part:
    """Attention of every row to the shared prefix; [kv_heads, group, tokens, ...].

    All queries of one key head stand in one long column: the kernel takes larger blocks of it.
    """
    kv_heads, group = keys.shape[0], q.shape[0] // keys.shape[0]
    seen = layout.sees_prefix(keys.shape[1], made.window)
    column, shown = q.reshape(1, kv_heads, -1, q.shape[-1]), None if seen is None else seen.repeat(group, 1)
    part = attend_part(column, keys[None], values[None], made, shown)
    attended, log_mass = (x.view(kv_heads, group, -1, *x.shape[3:]) for x in (part.attended, part.log_mass))
    return Part(attended, log_mass)
