"""One block of a small transformer, with a context and without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from icl_claims.models.random_models import FIRST_WORD, VOCABULARY

from ..cases import SEEDS
from ..small_transformers import ARCHITECTURES, Small

# The modules of a block by its family: attention, and the first matrices of its MLP, which read the same.
ATTENTION = {"llama": "self_attn", "gpt2": "attn", "opt": "self_attn", "gpt_neox": "attention"}
FIRST_MATRICES = {
    "llama": ("mlp.gate_proj", "mlp.up_proj"),
    "gpt2": ("mlp.c_fc",),
    "opt": ("fc1",),
    "gpt_neox": ("mlp.dense_h_to_4h",),
}
READS_ATTENTION = ("llama", "gpt2", "opt")  # GPT-NeoX's MLP stands beside its attention, and reads nothing of it
WORDS = range(FIRST_WORD, VOCABULARY)


@dataclass(frozen=True, eq=False)
class Passed:
    """What a block did at the last token of each prompt.

    Args:
        read: what the first matrices of the MLP read, of shape (prompts, hidden).
        attended: what attention added to the residual, of shape (prompts, hidden).
        output: of the block, of shape (prompts, hidden).
    """

    read: Tensor
    attended: Tensor
    output: Tensor


@dataclass(frozen=True, eq=False)
class OneBlock:
    """A transformer of one block."""

    family: str
    network: nn.Module
    block: nn.Module

    def first_matrices(self) -> Mapping[str, Tensor]:
        """The weights of the MLP's first matrices by name, (outputs, inputs), as views of the network's own."""
        weights = {name: self.block.get_submodule(name).get_parameter("weight") for name in FIRST_MATRICES[self.family]}
        return {name: weight.mT if self.family == "gpt2" else weight for name, weight in weights.items()}

    def run(self, ids: list[list[int]], *, first: int = 0) -> Passed:
        """The block over prompts of equal lengths that begin at a position."""
        seen: dict[str, Tensor] = {}

        def remember(name: str, value: Any) -> None:
            states = value[0] if isinstance(value, tuple) else value
            seen[name] = states.reshape(len(ids), -1, states.shape[-1])[:, -1].clone()  # OPT's MLP takes them flat

        with ExitStack() as hooks:
            for name in FIRST_MATRICES[self.family]:
                matrix = self.block.get_submodule(name)
                hooks.enter_context(matrix.register_forward_pre_hook(lambda _, given: remember("read", given)))
            attention = self.block.get_submodule(ATTENTION[self.family])
            hooks.enter_context(attention.register_forward_hook(lambda *all: remember("attended", all[2])))
            hooks.enter_context(self.block.register_forward_hook(lambda *all: remember("output", all[2])))
            prompts = torch.tensor(ids)
            places = torch.arange(first, first + prompts.shape[1]).expand_as(prompts)
            self.network(prompts, position_ids=places, use_cache=False)
        return Passed(**seen)


@cache
def one_block(family: str, seed: int) -> OneBlock:
    """A transformer of one block, in float64; shared between cases, to be restored after a change."""
    small = Small(family, 1, seed)
    network = small.plain()
    return OneBlock(family, network, network.get_submodule(small.model().blocks.names[0]))


@dataclass(frozen=True)
class Contexts:
    """Tokens of a context, of a query and of another query, and the transformers that read them."""

    seed: int
    context: tuple[int, ...]
    query: tuple[int, ...]
    other_query: tuple[int, ...]

    def blocks(self) -> Iterator[OneBlock]:
        """One of every architecture."""
        return (one_block(family, self.seed) for family in ARCHITECTURES)


@st.composite
def contexts(draw: st.DrawFn) -> Contexts:
    """Contexts of two to eight tokens, and queries of one to four that end differently; no token comes twice."""
    context, query = draw(st.integers(2, 8)), draw(st.integers(1, 4))
    many = context + query + 1
    words = tuple(draw(st.lists(st.sampled_from(WORDS), min_size=many, max_size=many, unique=True)))
    asked = words[context:-1]
    return Contexts(draw(SEEDS) % 3, words[:context], asked, (*asked[:-1], words[-1]))
