"""How much arithmetic there is: floating-point operations of the matrix products of a pass and of a learning step.

Only what must be computed is counted, whatever an implementation does. Causal attention of n tokens to themselves has
n (n + 1) / 2 pairs. Norms, rotations, activations and the softmax are not counted, nor what is computed a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from torch import Tensor

from icl_claims.models.language_model import LanguageModel

Learning = Literal["finetuning", "layer_causal", "linearized"]
"""Standard finetuning; layer-causal finetuning of all layers at once; finetuning of the first-order expansion."""


@dataclass(frozen=True)
class Sizes:
    """What of a model is multiplied with the states of a token, in entries of matrices.

    Args:
        linear: all matrices of the blocks.
        before_attention: those of all blocks that make queries, keys and values.
        lowest: those of them that belong to the lowest block, whose input depends on nothing that is tuned.
        tuned: the entries of matrices that are tuned.
        head: the projection onto the vocabulary.
        layers: number of attention layers.
        attended: query heads times their size.
    """

    linear: int
    before_attention: int
    lowest: int
    tuned: int
    head: int
    layers: int
    attended: int

    @classmethod
    def of(cls, model: LanguageModel) -> Self:
        """Those of a model; the last matrix of an attention module is its output projection, in every family."""
        config, attention = model.config, [_matrices(module) for module in model.attention_modules]
        heads = int(config.num_attention_heads)
        parts = [(p.part, model.network.get_parameter(p.name)) for p in model.tuned_parameters]
        return cls(
            linear=_entries(blocks_matrices(model)),
            before_attention=sum(_entries(of_module[:-1]) for of_module in attention),
            lowest=_entries(attention[0][:-1]),
            tuned=sum(
                value.numel() if part is None else int(part.expand_as(value).sum())
                for part, value in parts
                if value.dim() == 2
            ),
            head=_entries(head_matrices(model)),
            layers=model.layers,
            attended=heads * int(getattr(config, "head_dim", None) or config.hidden_size // heads),
        )


def blocks_matrices(model: LanguageModel) -> list[Tensor]:
    """The weights of all linear layers of the blocks, lowest first."""
    return [weights for block in model.blocks.modules for weights in _matrices(block)]


def head_matrices(model: LanguageModel) -> list[Tensor]:
    """The weights of the projection onto the vocabulary."""
    return _matrices(model.blocks.head)


def _matrices(module: object) -> list[Tensor]:
    return [p for p in module.parameters() if p.dim() == 2]  # type: ignore[attr-defined]


def _entries(matrices: Sequence[Tensor]) -> int:
    return sum(weights.numel() for weights in matrices)


def operations(model: LanguageModel, rows: Sequence[Sequence[int]], prefix_tokens: int) -> float:
    """Operations of answering rows that follow a prefix: linear layers, attention, the head at one position a row."""
    sizes = Sizes.of(model)
    pairs = sum(len(row) * prefix_tokens + _own_pairs(len(row)) for row in rows)
    linear = sizes.linear * sum(map(len, rows)) + sizes.head * len(rows)
    return 2.0 * linear + 4.0 * sizes.layers * sizes.attended * pairs


def step_operations(model: LanguageModel, tokens: int, learning: Learning) -> float:
    """Operations of one learning step on a sequence, in which every token but the first is predicted.

    Forward: the blocks at all tokens and the head at those that predict. Backward: through the head and through every
    layer above the lowest keys and values, and the gradients of keys and values alone. A layer-causal step reads every
    block's output through the head, and goes back to its own keys and values only. A linearised step also carries
    first-order changes forward.
    """
    sizes, pairs = Sizes.of(model), _own_pairs(tokens)
    head = 2.0 * sizes.head * (tokens - 1)
    of_layers = sizes.layers * sizes.attended * pairs
    without_lowest_queries = 2.0 * sizes.attended * pairs
    forward = 2.0 * sizes.linear * tokens + 4.0 * of_layers
    gradients = 2.0 * sizes.tuned * tokens
    if learning == "layer_causal":
        within_blocks = 2.0 * (sizes.linear - sizes.before_attention) * tokens + 6.0 * of_layers
        return forward + 2 * sizes.layers * head + within_blocks + gradients
    through = 2.0 * (sizes.linear - sizes.lowest) * tokens + 8.0 * of_layers - without_lowest_queries
    step = forward + 2 * head + through + gradients
    if learning == "finetuning":
        return step
    changes_of_states, changes_of_weights = through, gradients
    return step + changes_of_states + changes_of_weights + head


def _own_pairs(tokens: int) -> float:
    return tokens * (tokens + 1) / 2
