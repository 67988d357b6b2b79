"""The one attention function that every model runs through: a shared prefix, and a probe of the scores.

Queries of a batch lie end to end in one sequence. Each attends to [prefix; itself], where the prefix (a context of
demonstrations) was read once and its keys and values are cached without a batch dimension: attention to demonstrations
plus attention to the query, equation 4 of "Rethinking In-Context Learning ... as Gradient Descent".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd import forward_ad

from icl_claims.errors import ModelError
from icl_claims.models.layout import Layout
from icl_claims.models.partial_attention import Scores, attend_alone, attend_before, attend_within, by_key_head

NAME, INSPECTED = "icl_claims", "icl_claims_inspected"
"""Names of our attention in transformers: without masks, and with the masks that layers ask for."""
_KEYS_OF_NO_CONSEQUENCE = {
    "cache_position",
    "dropout",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
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


class AskedMask(Tensor):
    """Stands for the mask that a layer is given while its network is inspected; `sees` tells which keys it shows."""

    sees: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """What one layer asked for while its network was inspected.

    Args:
        queries: [heads, tokens, head_dim]; `keys` and `values` by key head, all with the graphs that made them.
        sees: from batch, head, and the positions of query and key, whether the layer's mask shows the key; or None.
        window: the sliding window that it passed.
    """

    module: nn.Module
    queries: Tensor
    keys: Tensor
    values: Tensor
    sees: Callable[..., Any] | None
    window: int | None


@dataclass(eq=False)
class AttentionPass:
    """Instructions to the attention function for one forward pass, and its record of the pass.

    Args:
        prefix: the context that every row attends to, or None.
        probe: packed index of the probe position of each row; None if nothing is to be recorded.
        probe_against: keys of any tokens over which scores of the probe position are recorded too; None if of none.
        keep_prefix: whether keys and values of the rows are recorded, to become a `Prefix` or to be scored against.
        inspected: whether the layers' calls are recorded.

    What it records, layer by layer: pre-softmax `scores` of each row's probe position over the row's own tokens (0
    where there is no token), and `scores_against` over the tokens of the keys given.
    """

    layout: Layout
    prefix: Prefix | None = None
    probe: Int[Tensor, " rows"] | None = None
    probe_against: Keys | None = None
    keep_prefix: bool = False
    inspected: bool = False
    layer: int = 0
    calls: list[AttentionCall] = field(default_factory=list)
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    scores: list[Float[Tensor, "heads rows width"]] = field(default_factory=list)
    scores_against: list[Float[Tensor, "heads rows tokens"]] = field(default_factory=list)

    @contextmanager
    def active(self) -> Iterator[AttentionPass]:
        """While active, this pass governs every call of the attention function in the current context."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)


_current: ContextVar[AttentionPass | None] = ContextVar("attention_pass", default=None)


def attend(
    module: nn.Module,
    query: Float[Tensor, "1 heads tokens head_dim"],
    key: Float[Tensor, "1 kv_heads tokens head_dim"],
    value: Float[Tensor, "1 kv_heads tokens head_dim"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Float[Tensor, " heads"] | None = None,
    **options: Any,
) -> tuple[Float[Tensor, "1 tokens heads head_dim"], None]:
    """Causal softmax attention of packed rows over [prefix; themselves], with the layer's sinks and capped scores.

    Returns:
        The attended values, in the layout that transformers expects, and no attention weights.

    Raises:
        ModelError: called outside of a pass, with a batch, a mask, or an option that would change the attention.
    """
    now = _current.get()
    if now is None:
        raise ModelError(
            "The model was called directly",
            expected="a call through LanguageModel, which knows the rows of the batch",
            todo="Call LanguageModel.answer, or load the network with attn_implementation='eager'.",
        )
    _refuse_other_attention(module, query, value, attention_mask, options)
    q, k, v = query[0], key[0], value[0]
    layout = now.layout.on(q.device)
    made = Scores(q.shape[-1] ** -0.5 if scaling is None else scaling, softcap, sliding_window)
    layer, now.layer = now.layer, now.layer + 1
    if now.inspected:
        now.calls.append(AttentionCall(module, q, k, v, getattr(attention_mask, "sees", None), sliding_window))
    if now.keep_prefix:
        now.keys.append(k.contiguous())
        now.values.append(v.contiguous())
    if now.probe is not None:
        at_probe = by_key_head(q[:, now.probe.to(q.device)] * made.scale, k.shape[0])
        within_row = made.bent(torch.einsum("kgrd,rkwd->kgrw", at_probe, layout.pad(k)).flatten(0, 1))
        now.scores.append(within_row * layout.real)
        if now.probe_against is not None:
            against = torch.einsum("kgrd,ktd->kgrt", at_probe, now.probe_against[layer])
            now.scores_against.append(made.bent(against.flatten(0, 1)))
    plain = softcap is None and s_aux is None
    if plain and now.prefix is None and layout.rows == 1 and not _carries_tangent(q, k, v):
        return attend_alone(q, k, v, made, layout).transpose(0, 1)[None], None
    within = attend_within(q, k, v, made, layout)
    if s_aux is not None:
        within = within.with_sinks(by_key_head(s_aux, k.shape[0])[..., None])
    if now.prefix is None:
        attended = within.attended
    else:
        attended = within.together_with(
            attend_before(q, now.prefix.keys[layer], now.prefix.values[layer], made, layout)
        )
    return attended.permute(2, 0, 1, 3).flatten(1, 2)[None], None


def _refuse_other_attention(
    module: nn.Module, query: Tensor, value: Tensor, mask: Tensor | None, options: Mapping[str, Any]
) -> None:
    """Refuse what is not causal softmax attention of one sequence, which is all that `attend` computes."""
    other = [name for name in sorted(set(options) - _KEYS_OF_NO_CONSEQUENCE) if options[name] is not None]
    asked = [f"the option {name}" for name in other if (name, options[name]) != ("is_causal", True)]
    if mask is not None and not hasattr(mask, "sees"):
        asked.append("a mask of its own")
    if query.shape[-1] != value.shape[-1]:
        asked.append("values of another size than its keys (multi-head latent attention)")
    if query.shape[0] != 1:
        asked.append(f"a batch of {query.shape[0]}")
    if asked:
        raise ModelError(
            f"{type(module).__name__} is not plain causal softmax attention",
            got=" and ".join(asked),
            todo="Use another model: docs/models.md lists the architectures that were tried.",
        )


def _carries_tangent(*tensors: Tensor) -> bool:
    """Whether any is a dual number of forward-mode differentiation."""
    unpacked: Any = forward_ad.unpack_dual
    return any(unpacked(x).tangent is not None for x in tensors)


def registered_attention() -> str:
    """The name of our attention, with the masks that layers ask for; from now on transformers knows it."""
    from transformers import AttentionInterface, AttentionMaskInterface

    for name in (NAME, INSPECTED):
        AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(INSPECTED, _asked_mask)
    return INSPECTED


def _asked_mask(*, q_length: int, kv_length: int, mask_function: Callable[..., Any], **_options: Any) -> AskedMask:
    mask = torch.zeros(1, 1, q_length, kv_length).as_subclass(AskedMask)
    mask.sees = mask_function
    return mask
