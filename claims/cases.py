"""The cases that exact claims are tried on: random layers, heads, networks, losses, activations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from icl_claims.theory.dual_form import Head

SEEDS = st.integers(0, 2**16)


def normal(seed: int, *shape: int) -> Tensor:
    """Standard normal numbers in float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def learning_rates() -> st.SearchStrategy[float]:
    """Learning rates over five decades."""
    return st.sampled_from([1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0])


# Losses


@dataclass(frozen=True)
class Loss:
    """A loss of outputs of any shape [..., out], against targets that its seed draws."""

    kind: str
    seed: int

    def __call__(self, outputs: Tensor) -> Tensor:
        """The sum over all outputs."""
        targets = normal(self.seed, *outputs.shape)
        if self.kind == "squared":
            return (outputs - targets).square().sum() / 2
        if self.kind == "huber":
            return nn.functional.huber_loss(outputs, targets, reduction="sum")
        return -(targets.softmax(-1) * outputs.log_softmax(-1)).sum()


def losses() -> st.SearchStrategy[Loss]:
    """Squared error, Huber loss, and cross-entropy with soft targets."""
    return st.builds(Loss, st.sampled_from(["squared", "huber", "cross_entropy"]), SEEDS)


# Linear layers (section 2.1)


@dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer, the examples that it learns from, and an input that it is asked about."""

    weight: Tensor
    inputs: Tensor
    query: Tensor


@st.composite
def linear_layers(draw: st.DrawFn, *, least_examples: int = 0, least_size: int = 1) -> Layer:
    """Layers of any shape, with any number of examples, none included."""
    out, size = draw(st.integers(least_size, 6)), draw(st.integers(least_size, 6))
    examples, seed = draw(st.integers(least_examples, 8)), draw(SEEDS)
    return Layer(normal(seed, out, size), normal(seed + 1, examples, size), normal(seed + 2, size))


def step_by_autograd(weight: Tensor, inputs: Tensor, loss: Loss, learning_rate: float) -> Tensor:
    """The weights after a step of SGD, differentiated with respect to the weights themselves."""
    parameter = nn.Parameter(weight.clone())
    optimizer = torch.optim.SGD([parameter], lr=learning_rate)
    loss(inputs @ parameter.T).backward()
    optimizer.step()
    return parameter.detach()


# Attention heads (section 2.2)


@dataclass(frozen=True, eq=False)
class Attended:
    """A head, the tokens of the demonstrations and of the query, and the query vectors."""

    head: Head
    demonstrations: Tensor
    tokens: Tensor
    query: Tensor
    other_query: Tensor


@st.composite
def attended_tokens(draw: st.DrawFn, *, least_shown: int = 0) -> Attended:
    """Heads of any size over any number of demonstration tokens, none included."""
    inner, width, seed = draw(st.integers(2, 5)), draw(st.integers(2, 6)), draw(SEEDS)
    shown, own = draw(st.integers(least_shown, 7)), draw(st.integers(1, 5))
    head = Head(normal(seed, inner, width), normal(seed + 1, inner, width))
    queries = normal(seed + 4, 2, inner)
    return Attended(head, normal(seed + 2, shown, width), normal(seed + 3, own, width), queries[0], queries[1])


# Networks as functions of their parameters (section 2.3)


@dataclass(frozen=True, eq=False)
class Network:
    """A network of two layers at one fixed input, as a function of one vector of parameters."""

    function: Callable[[Tensor], Tensor]
    start: Tensor
    direction: Tensor
    other_direction: Tensor


@st.composite
def smooth_networks(draw: st.DrawFn) -> Network:
    """Tanh networks with several outputs, and two unit directions in the space of their parameters."""
    size, hidden, out, seed = (*(draw(st.integers(1, 4)) for _ in range(2)), draw(st.integers(2, 4)), draw(SEEDS))
    x = normal(seed, size)

    def function(parameters: Tensor) -> Tensor:
        first, second = parameters[: hidden * size].view(hidden, size), parameters[hidden * size :].view(out, hidden)
        return second @ torch.tanh(first @ x)

    start, one, other = normal(seed + 1, 3, hidden * (size + out))
    return Network(function, start, one / one.norm(), other / other.norm())


# Activations (section 3.2)


@st.composite
def attention_outputs(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Attention outputs [layers, queries, hidden] of in-context learning, finetuning and zero-shot."""
    layers, queries, hidden = (draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(2, 6)))
    in_context, finetuned, zero_shot = normal(draw(SEEDS), 3, layers, queries, hidden)
    return in_context, finetuned, zero_shot


@st.composite
def attention_maps(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Attention scores [layers, heads, queries, width] of in-context learning, finetuning and zero-shot."""
    layers, heads, queries, width = (draw(st.integers(least, least + 3)) for least in (1, 1, 1, 3))
    in_context, finetuned, zero_shot = normal(draw(SEEDS), 3, layers, heads, queries, width)
    return in_context, finetuned, zero_shot
