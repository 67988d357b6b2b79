"""The one attention function that every model runs through: a shared prefix, and a probe of the scores.

Queries of a batch lie end to end in one sequence. Each attends to [prefix; itself], where the prefix (a context of
demonstrations) was read once and its keys and values are cached without a batch dimension: attention to demonstrations
plus attention to the query, equation 4 of "Rethinking In-Context Learning ... as Gradient Descent".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd import forward_ad

from icl_claims.errors import ModelError
from icl_claims.models.families import TITLES
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


def attend_part(
    q: Float[Tensor, "batch heads queries head_dim"],
    k: Float[Tensor, "batch heads keys head_dim"],
    v: Float[Tensor, "batch heads keys head_dim"],
    scale: float,
    seen: Bool[Tensor, "queries keys"] | None = None,
) -> Part:
    """Softmax attention of queries over some keys; a head that several query heads share may be expanded, uncopied.

    Every score has the factor `scale`. Each query attends to the keys that are `seen`; to all if that is None. A part
    without keys for a query has no mass for it.
    """
    hidden = None
    if seen is not None:
        hidden = q.new_zeros(seen.shape).masked_fill(~seen, torch.finfo(q.dtype).min)
    if q.device.type == "cpu" and torch.is_inference_mode_enabled():
        # gives the log-sum-exp that the public function drops, never holds all scores, and has no derivative
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        return Part(*kernel(q, k, v, 0.0, False, attn_mask=hidden, scale=scale))
    scores = (q * scale) @ k.transpose(-1, -2)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if hidden is not None:
        scores = scores + hidden
    return Part(scores.softmax(-1).to(v.dtype) @ v, scores.logsumexp(-1))


_KEYS_OF_NO_CONSEQUENCE = {
    "cache_position",
    "dropout",
    "head_mask",
    "is_causal",
    "output_attentions",
    "output_hidden_states",
    "position_embeddings",
    "position_ids",
    "return_dict",
    "use_cache",
}

Keys = tuple[Float[Tensor, "kv_heads tokens head_dim"], ...]
"""The keys of some tokens, layer by layer."""


@dataclass(frozen=True, eq=False)
class Prefix:
    """Keys and values of a context, per layer, each [kv_heads, tokens, head_dim]."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    tokens: int


@dataclass(eq=False)
class AttentionPass:
    """Instructions to the attention function for one forward pass, and its record of the pass.

    Args:
        prefix: the context that every row attends to, or None.
        probe: packed index of the probe position of each row; None if nothing is to be recorded.
        probe_against: keys of any tokens over which scores of the probe position are recorded too; None if of none.
        keep_prefix: whether keys and values of the rows are recorded, to become a `Prefix` or to be scored against.

    What it records, layer by layer: pre-softmax `scores` of each row's probe position over the row's own tokens (0
    where there is no token), `scores_against` over the tokens of the keys given, and `outputs` of attention modules.
    """

    layout: Layout
    prefix: Prefix | None = None
    probe: Int[Tensor, " rows"] | None = None
    probe_against: Keys | None = None
    keep_prefix: bool = False
    callers: list[nn.Module] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    scores: list[Float[Tensor, "heads rows width"]] = field(default_factory=list)
    scores_against: list[Float[Tensor, "heads rows tokens"]] = field(default_factory=list)
    outputs: list[Float[Tensor, "rows hidden"]] = field(default_factory=list)

    @contextmanager
    def active(self) -> Iterator[AttentionPass]:
        """While active, this pass governs every call of the attention function in the current context."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)


_current: ContextVar[AttentionPass | None] = ContextVar("attention_pass", default=None)


def record_attention_output(_module: nn.Module, _inputs: Any, output: Any) -> None:
    """A forward hook of attention modules: the active pass keeps the output at its probe positions."""
    now = _current.get()
    if now is not None and now.probe is not None:
        hidden: Tensor = output[0]
        now.outputs.append(hidden[0, now.probe.to(hidden.device)])


def attend(
    module: nn.Module,
    query: Float[Tensor, "1 heads tokens head_dim"],
    key: Float[Tensor, "1 kv_heads tokens head_dim"],
    value: Float[Tensor, "1 kv_heads tokens head_dim"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Float[Tensor, "1 tokens heads head_dim"], None]:
    """Causal softmax attention of packed rows over [prefix; themselves].

    Returns:
        The attended values, in the layout that transformers expects, and no attention weights.

    Raises:
        ModelError: called outside of a pass, with a batch, or with an option that would change the attention.
    """
    now = _current.get()
    if now is None:
        raise ModelError(
            "The model was called directly",
            expected="a call through LanguageModel, which knows the rows of the batch",
            todo="Call LanguageModel.answer, or load the network with attn_implementation='eager'.",
        )
    changing = sorted(name for name in set(options) - _KEYS_OF_NO_CONSEQUENCE if options[name] is not None)
    if changing or query.shape[0] != 1:
        raise ModelError(
            f"{type(module).__name__} asks for an attention that is not plain causal softmax",
            got=f"options {changing}, batch size {query.shape[0]}",
            todo=f"Use a model of one of these families: {TITLES}.",
        )
    q, k, v = query[0], key[0], value[0]
    layout = now.layout.on(q.device)
    scale = q.shape[-1] ** -0.5 if scaling is None else scaling
    layer = len(now.callers)
    now.callers.append(module)
    if now.keep_prefix:
        now.keys.append(k.contiguous())
        now.values.append(v.contiguous())
    if now.probe is not None:
        at_probe = _grouped(q[:, now.probe.to(q.device)] * scale, k.shape[0])
        within_row = torch.einsum("kgrd,rkwd->kgrw", at_probe, layout.pad(k)).flatten(0, 1)
        now.scores.append(within_row * layout.real)
        if now.probe_against is not None:
            against = torch.einsum("kgrd,ktd->kgrt", at_probe, now.probe_against[layer])
            now.scores_against.append(against.flatten(0, 1))
    if now.prefix is None and layout.rows == 1 and not _carries_tangent(q, k, v):
        return _attend_alone(q, k, v, scale, layout, sliding_window).transpose(0, 1)[None], None
    within = _attend_within(q, k, v, scale, layout, sliding_window)
    if now.prefix is None:
        attended = within.attended
    else:
        keys, values = now.prefix.keys[layer], now.prefix.values[layer]
        attended = within.together_with(_attend_before(q, keys, values, scale, layout, sliding_window))
    return attended.permute(2, 0, 1, 3).flatten(1, 2)[None], None


def _grouped(q: Tensor, kv_heads: int) -> Tensor:
    """[heads, ...] as [kv_heads, group, ...]: query head h reads key head h // group."""
    return q.view(kv_heads, -1, *q.shape[1:])


def _carries_tangent(*tensors: Tensor) -> bool:
    """Whether any is a dual number of forward-mode differentiation."""
    unpacked: Any = forward_ad.unpack_dual
    return any(unpacked(x).tangent is not None for x in tensors)


def _attend_alone(
    q: Tensor, k: Tensor, v: Tensor, scale: float, layout: Layout, window: int | None
) -> Float[Tensor, "heads tokens head_dim"]:
    """Causal attention of a single row without a prefix; it has no forward-mode derivative."""
    seen = layout.sees_itself(window) if window is not None and window < layout.width else None
    return nn.functional.scaled_dot_product_attention(
        q[None], k[None], v[None], attn_mask=seen, is_causal=seen is None, scale=scale, enable_gqa=len(q) != len(k)
    )[0]


def _attend_within(q: Tensor, k: Tensor, v: Tensor, scale: float, layout: Layout, window: int | None) -> Part:
    """Attention of each row to itself; [kv_heads, group, tokens, ...]."""
    kv_heads, group = k.shape[0], q.shape[0] // k.shape[0]
    own_keys, own_values = (layout.pad(x)[:, :, None].expand(-1, -1, group, -1, -1).flatten(1, 2) for x in (k, v))
    part = attend_part(layout.pad(q), own_keys, own_values, scale, layout.sees_itself(window))
    attended, log_mass = (_grouped(layout.pack(x), kv_heads) for x in (part.attended, part.log_mass))
    return Part(attended, log_mass)


def _attend_before(q: Tensor, keys: Tensor, values: Tensor, scale: float, layout: Layout, window: int | None) -> Part:
    """Attention of every row to the shared prefix; [kv_heads, group, tokens, ...].

    All queries of one key head stand in one long column: the kernel takes larger blocks of it.
    """
    kv_heads, group = keys.shape[0], q.shape[0] // keys.shape[0]
    seen = layout.sees_prefix(keys.shape[1], window)
    column, shown = q.reshape(1, kv_heads, -1, q.shape[-1]), None if seen is None else seen.repeat(group, 1)
    part = attend_part(column, keys[None], values[None], scale, shown)
    attended, log_mass = (x.view(kv_heads, group, -1, *x.shape[3:]) for x in (part.attended, part.log_mass))
    return Part(attended, log_mass)


def registered_attention() -> str:
    """The name of our attention for transformers' `attn_implementation`; from now on transformers knows it."""
    from transformers import AttentionInterface

    AttentionInterface.register("icl_claims", attend)
    return "icl_claims"
