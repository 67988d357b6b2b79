"""The one attention function that every model runs through: a shared prefix, and a probe of the scores.

Queries of a batch lie end to end in one sequence. Each attends to [prefix; itself], where the prefix (a context of
demonstrations) was read once and its keys and values are kept without a batch dimension: attention to demonstrations
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
from transformers import AttentionInterface

from icl_claims.errors import ModelError
from icl_claims.models.layout import Layout

NAME = "icl_claims"
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


@dataclass(frozen=True, eq=False)
class Prefix:
    """Keys and values of a context, per layer, each [kv_heads, tokens, head_dim]."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    tokens: int


@dataclass(eq=False)
class AttentionPass:
    """What the attention function is to do during one forward pass, and what it saw.

    Args:
        layout: the rows of the batch.
        prefix: the context that every row attends to, or None.
        probe: packed index of the probe position of each row, or None when nothing is to be recorded.
        keep_prefix: whether keys and values are kept, to become a `Prefix`.
    """

    layout: Layout
    prefix: Prefix | None = None
    probe: Int[Tensor, " rows"] | None = None
    keep_prefix: bool = False
    callers: list[nn.Module] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    scores: list[Float[Tensor, "heads rows width"]] = field(default_factory=list)
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


def current_pass() -> AttentionPass | None:
    """The pass that is active, if any."""
    return _current.get()


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
            expected="a call through LanguageModel, which says what lies in the batch",
            todo="Call LanguageModel.forward, or load the network with attn_implementation='eager'.",
        )
    changing = sorted(name for name in set(options) - _KEYS_OF_NO_CONSEQUENCE if options[name] is not None)
    if changing or query.shape[0] != 1:
        raise ModelError(
            f"{type(module).__name__} asks for an attention that is not plain causal softmax",
            got=f"options {changing}, batch size {query.shape[0]}",
            todo="Use a model of a supported family: Llama, Qwen2, Mistral, Gemma 3, OPT, GPT-2, GPT-NeoX, Phi.",
        )
    q, k, v = query[0], key[0], value[0]
    layout = now.layout.on(q.device)
    scale = q.shape[-1] ** -0.5 if scaling is None else scaling
    now.callers.append(module)
    if now.keep_prefix:
        now.keys.append(k)
        now.values.append(v)
    if now.probe is not None:
        now.scores.append(_probe_scores(q * scale, k, layout, now.probe.to(q.device)))
    if now.prefix is None and layout.rows == 1:
        attended = _attend_within(q, k, v, scale, sliding_window)
    else:
        layer = len(now.callers) - 1
        attended = _attend_packed(q * scale, k, v, layout, now.prefix, layer, sliding_window)
    return attended.transpose(0, 1)[None], None


def _grouped(q: Tensor, kv_heads: int) -> Tensor:
    """[heads, ...] as [kv_heads, group, ...]: query head h reads key head h // group."""
    return q.view(kv_heads, q.shape[0] // kv_heads, *q.shape[1:])


def _probe_scores(q: Tensor, k: Tensor, layout: Layout, probe: Tensor) -> Float[Tensor, "heads rows width"]:
    """Pre-softmax scores of each row's probe position over the row's own tokens, 0 where there is no token."""
    at_probe = _grouped(q[:, probe], k.shape[0])
    scores = torch.einsum("kgrd,krwd->kgrw", at_probe, layout.pad(k))
    return scores.flatten(0, 1) * layout.real


def _attend_within(q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
    """Causal attention of a single row without a prefix."""
    tokens = q.shape[1]
    mask = None
    if window is not None and window < tokens:
        distance = _distance(tokens, tokens, q.device)
        mask = (distance >= 0) & (distance < window)
    return nn.functional.scaled_dot_product_attention(
        q[None],
        k[None],
        v[None],
        attn_mask=mask,
        is_causal=mask is None,
        scale=scale,
        enable_gqa=q.shape[0] != k.shape[0],
    )[0]


def _attend_packed(
    q: Tensor, k: Tensor, v: Tensor, layout: Layout, prefix: Prefix | None, layer: int, window: int | None
) -> Float[Tensor, "heads tokens head_dim"]:
    """One softmax over two blocks of scores: against the shared prefix, and against the row itself."""
    (heads, tokens, size), kv_heads = q.shape, k.shape[0]
    own_scores = torch.einsum("kgrqd,krwd->kgrqw", _grouped(layout.pad(q), kv_heads), layout.pad(k)).flatten(0, 1)
    own_scores = own_scores.float().masked_fill(~_sees_itself(layout.width, window, q.device), float("-inf"))
    own = layout.pack(own_scores)  # heads tokens width
    highest = own.amax(-1, keepdim=True)
    if prefix is None:
        own = (own - highest).exp()
        total = own.sum(-1, keepdim=True)
        return _own_values(own, v, layout, total)
    shared_keys, shared_values = prefix.keys[layer], prefix.values[layer]
    shared = torch.bmm(q.reshape(kv_heads, -1, size), shared_keys.transpose(1, 2)).view(heads, tokens, -1).float()
    if window is not None:
        shared = shared.masked_fill(~_sees_prefix(layout, prefix.tokens, window), float("-inf"))
    highest = torch.maximum(highest, shared.amax(-1, keepdim=True))
    own, shared = (own - highest).exp(), (shared - highest).exp()
    total = own.sum(-1, keepdim=True) + shared.sum(-1, keepdim=True)
    from_prefix = torch.bmm(shared.to(v.dtype).view(kv_heads, -1, prefix.tokens), shared_values)
    return _own_values(own, v, layout, total) + (from_prefix.view(heads, tokens, size).float() / total).to(v.dtype)


def _own_values(own: Tensor, v: Tensor, layout: Layout, total: Tensor) -> Tensor:
    """The rows' own values, weighted by `own` / `total`: [heads, tokens, head_dim]."""
    weights = _grouped(layout.pad((own / total).to(v.dtype)), v.shape[0])
    return layout.pack(torch.einsum("kgrqw,krwd->kgrqd", weights, layout.pad(v)).flatten(0, 1))


def _distance(rows: int, columns: int, device: torch.device) -> Int[Tensor, "rows columns"]:
    return torch.arange(rows, device=device)[:, None] - torch.arange(columns, device=device)


def _sees_itself(width: int, window: int | None, device: torch.device) -> Bool[Tensor, "width width"]:
    distance = _distance(width, width, device)
    seen = distance >= 0
    return seen if window is None else seen & (distance < window)


def _sees_prefix(layout: Layout, prefix_tokens: int, window: int) -> Bool[Tensor, "tokens prefix"]:
    position = layout.column[:, None] + prefix_tokens
    return position - torch.arange(prefix_tokens, device=layout.device) < window


AttentionInterface.register(NAME, attend)
