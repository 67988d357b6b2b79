"""Small real transformers with random weights, and what they learn when every step is written out.

The methods under test run on `Small.model()`. What they should give is worked out on `Small.plain()`: the same weights
in a network that transformers runs with its own attention, cut off after a block where a block's own loss is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor, nn

from icl_claims.models.language_model import LanguageModel
from icl_claims.models.random_models import (
    BOS,
    EOS,
    FIRST_WORD,
    VOCABULARY,
    fill_at_random,
    random_model,
    random_network,
)
from icl_claims.tasks.prompts import Demonstrations, Queries

ARCHITECTURES = ("llama", "gpt2", "opt", "gpt_neox")
# Some norms and softmaxes of transformers are computed in float32 whatever the dtype of a model.
SINGLE_PRECISION = 1e-4


def few_cases(holds: Callable[[], None]) -> Callable[[], None]:
    """For properties that run every architecture in each case: a sixteenth of the examples of others."""
    return settings(max_examples=max(1, settings().max_examples // 16))(holds)


@dataclass(frozen=True)
class Small:
    """A transformer in float64, by what it is made from.

    Args:
        family: its architecture.
        layers: number of blocks.
        seed: of its weights.
        changed: blocks whose weights are others, as if trained on something else.
    """

    family: str
    layers: int
    seed: int
    changed: tuple[int, ...] = ()

    def model(self) -> LanguageModel:
        """The model as the methods see it; shared between cases, never to be changed."""
        return _model(self)

    def plain(self, attention: str = "sdpa") -> nn.Module:
        """The same weights in transformers' own hands; a new network, free to be changed.

        Of its attentions, `eager` alone gives its weights, but takes their softmax in float32.
        """
        return random_network(self.family, self.layers, self.seed, attention=attention).double().requires_grad_(False)

    def with_changed(self, blocks: Sequence[int]) -> Small:
        """The same transformer, but for these blocks."""
        return replace(self, changed=tuple(blocks))


@cache
def _model(small: Small) -> LanguageModel:
    model = random_model(small.family, small.layers, small.seed, torch.float64)
    for block in small.changed:
        fill_at_random(model.blocks.modules[block], 1000 + small.layers * small.seed + block)
    return model


# Strategies


def small_transformers(*, layers: int = 3) -> st.SearchStrategy[tuple[Small, ...]]:
    """One transformer of every architecture."""
    return st.integers(0, 2).map(lambda seed: tuple(Small(family, layers, seed) for family in ARCHITECTURES))


@st.composite
def small_demonstrations(draw: st.DrawFn, *, most: int = 3) -> Demonstrations:
    """One to three demonstrations of random tokens."""
    return Demonstrations.from_rows(BOS, EOS, [draw(_words(3, 6)) for _ in range(draw(st.integers(1, most)))])


@st.composite
def small_queries(draw: st.DrawFn) -> Queries:
    """Two queries of random tokens and unequal lengths."""
    return Queries((draw(_words(5, 6)), draw(_words(3, 4))), (FIRST_WORD, FIRST_WORD + 1), -2, -1)


def _words(least: int, most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(FIRST_WORD, VOCABULARY - 1), min_size=least, max_size=most, unique=True).map(tuple)


# Learning, written out


def block_names(small: Small) -> tuple[str, ...]:
    """Qualified names of the blocks, lowest first."""
    return small.model().blocks.names


@contextmanager
def cut_after(network: nn.Module, names: Sequence[str], block: int) -> Iterator[None]:
    """While open, the network ends after a block: final norm and head read that block's output."""
    parent, _, stack = names[0].rpartition(".")[0].rpartition(".")
    holder = network.get_submodule(parent)
    whole: nn.ModuleList = getattr(holder, stack)
    setattr(holder, stack, whole[: block + 1])
    try:
        yield
    finally:
        setattr(holder, stack, whole)


def next_token_loss(network: nn.Module, ids: Sequence[int]) -> Tensor:
    """Mean cross-entropy of every token after the first, in nats."""
    logits = network(torch.tensor([list(ids)]), use_cache=False).logits[0]
    loss: Tensor = -logits[:-1].log_softmax(-1)[torch.arange(len(ids) - 1), list(ids)[1:]].mean()
    return loss


def key_value_gradients(network: nn.Module, ids: Sequence[int], within: Sequence[str]) -> dict[str, Tensor]:
    """Gradient of the loss for the key and value projections within these blocks, 0 for the query's part of them."""
    inside = tuple(f"{name}." for name in within)
    parts = {
        name: (parameter, part)
        for name, parameter in network.named_parameters()
        if name.startswith(inside) and (part := key_value_part(name, parameter)) is not None
    }
    for parameter, _ in parts.values():
        parameter.requires_grad_()
    gradients = torch.autograd.grad(next_token_loss(network, ids), [parameter for parameter, _ in parts.values()])
    for parameter, _ in parts.values():
        parameter.requires_grad_(False)
    return {name: g * part for (name, (_, part)), g in zip(parts.items(), gradients, strict=True)}


def key_value_part(name: str, parameter: Tensor) -> Tensor | None:
    """Ones where a parameter makes keys or values, zeros where it makes queries; None for any other parameter."""
    part = torch.ones_like(parameter)
    if "k_proj" in name or "v_proj" in name:
        return part
    if "c_attn" in name:  # GPT-2: all queries, all keys, all values
        part[..., : part.shape[-1] // 3] = 0
        return part
    if "query_key_value" in name:  # GPT-NeoX: query, key and value of the first of four heads, of the second, ...
        part.view(4, 3, -1)[:, 0] = 0
        return part
    return None


def take_step(network: nn.Module, gradients: dict[str, Tensor], learning_rate: float) -> None:
    """Move the parameters of a network against their gradients."""
    parameters = dict(network.named_parameters())
    for name, gradient in gradients.items():
        parameters[name].sub_(learning_rate * gradient)


def block_gradients(small: Small, network: nn.Module, ids: Sequence[int], block: int) -> dict[str, Tensor]:
    """Gradient of a block's own loss for its own key and value projections."""
    names = block_names(small)
    with cut_after(network, names, block):
        return key_value_gradients(network, ids, names[block : block + 1])


def change_of(small: Small, learned: nn.Module | Mapping[str, Tensor], block: int | None = None) -> Tensor:
    """What learning added to the key and value projections of one block or of all, end to end."""
    values = dict(learned.named_parameters()) if isinstance(learned, nn.Module) else learned
    before = dict(small.model().network.named_parameters())
    tuned = [p.name for p in small.model().tuned_parameters if block is None or p.layer == block]
    return torch.cat([(values[name] - before[name]).detach().flatten() for name in tuned])
