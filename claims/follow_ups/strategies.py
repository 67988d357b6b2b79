"""The cases that the claims of follow-up papers are tried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from icl_claims.theory.linear_self_attention import LinearSelfAttention

from ..cases import SEEDS, Loss, learning_rates, normal

INNER = 4
Optimiser = Callable[..., torch.optim.Optimizer]


@dataclass(frozen=True, eq=False)
class Regression:
    """A linear model W0, demonstrations x_j and y_j, queries, and a learning rate."""

    weights: Tensor
    inputs: Tensor
    targets: Tensor
    queries: Tensor
    rate: float

    def stepped(self, rates: list[float]) -> Tensor:
        """The weights after steps of torch's SGD on 1/(2N) sum_j |W x_j - y_j|^2."""
        parameter = torch.nn.Parameter(self.weights.clone())
        for rate in rates:
            parameter.grad = None
            residuals = self.inputs @ parameter.T - self.targets
            (residuals.square().sum() / (2 * max(len(self.inputs), 1))).backward()
            torch.optim.SGD([parameter], lr=rate).step()
        return parameter.detach()


@st.composite
def regressions(draw: st.DrawFn, *, least_demonstrations: int = 0, least_inputs: int = 1) -> Regression:
    """Linear regression of any size, from no demonstration on."""
    inputs, outputs = draw(st.integers(least_inputs, 5)), draw(st.integers(1, 3))
    demonstrations, queries = draw(st.integers(least_demonstrations, 6)), draw(st.integers(1, 3))
    seed = draw(SEEDS)
    return Regression(
        normal(seed, outputs, inputs),
        normal(seed + 1, demonstrations, inputs),
        normal(seed + 2, demonstrations, outputs),
        normal(seed + 3, queries, inputs),
        draw(learning_rates()),
    )


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Inputs whose X X^T has given eigenvalues, smallest first."""

    eigenvalues: Tensor
    seed: int

    def inputs(self) -> Tensor:
        """Demonstrations, one a row, as many as eigenvalues and two more."""
        size = len(self.eigenvalues)
        turn, spread = (torch.linalg.qr(normal(self.seed + i, size + 2, size))[0] for i in (0, 1))
        rotation = torch.linalg.qr(turn[:size])[0]
        inputs: Tensor = spread * self.eigenvalues.sqrt() @ rotation.T
        return inputs


@st.composite
def spectra(draw: st.DrawFn) -> Spectrum:
    """Two to five eigenvalues, of any scale, with condition numbers up to 1000."""
    condition, scale = draw(st.floats(1.1, 1000.0)), draw(st.sampled_from([0.1, 1.0, 10.0]))
    between = draw(st.lists(st.floats(0, 1), max_size=3))
    exponents = torch.tensor([0.0, *sorted(between), 1.0], dtype=torch.float64)
    return Spectrum(scale * condition**exponents, draw(SEEDS))


@dataclass(frozen=True, eq=False)
class Attention:
    """Layers of linear self-attention with any weights, their tokens, an order of them, and two invertible matrices."""

    layers: tuple[LinearSelfAttention, ...]
    demonstrations: Tensor
    queries: Tensor
    changes: Tensor
    order: list[int]


@st.composite
def attention_layers(draw: st.DrawFn, *, layers: int = 1) -> Attention:
    """Any weights, moderate in size, over two to six demonstrations."""
    width, demonstrations, seed = draw(st.integers(2, 5)), draw(st.integers(2, 6)), draw(SEEDS)
    order = draw(st.permutations(range(demonstrations)).filter(lambda order: list(order) != sorted(order)))
    weights = normal(seed, layers, 4, width, width) / width
    changes = torch.eye(width, dtype=torch.float64) + normal(seed + 3, 2, width, width) / (4 * width)
    tokens, queries = normal(seed + 1, demonstrations, width), normal(seed + 2, 2, width)
    return Attention(tuple(LinearSelfAttention(*four) for four in weights), tokens, queries, changes, list(order))


@dataclass(frozen=True, eq=False)
class History:
    """What a linear layer inside a network was, met in training, and became."""

    initial: Tensor
    inputs: Tensor
    errors: Tensor
    final: nn.Linear


def train_inside_a_network(loss: Loss, seed: int, rates: list[float], batch: int, optimiser: Optimiser) -> History:
    """A network of three layers, trained on new examples in every step; the history is that of the middle one."""
    weights = [normal(seed, INNER, 3), normal(seed + 1, INNER, INNER), normal(seed + 2, 2, INNER)]
    first, middle, last = (_linear(weight) for weight in weights)
    network = nn.Sequential(first, nn.Tanh(), middle, nn.Tanh(), last)
    nothing = torch.zeros(0, INNER, dtype=torch.float64)
    inputs, errors = [nothing], [nothing]
    middle.register_forward_hook(lambda layer, given, output: inputs.append(given[0].detach()))

    def remember(layer: nn.Module, of_inputs: Any, of_outputs: Any) -> None:
        errors.append(of_outputs[0])

    middle.register_full_backward_hook(remember)
    optimizer = optimiser(network.parameters(), lr=0.1)
    for step, rate in enumerate(rates):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss(network(normal(seed + 3 + step, batch, 3))).backward()
        optimizer.step()
    return History(weights[1], torch.cat(inputs), torch.cat(errors), middle)


def _linear(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
    layer.weight = nn.Parameter(weight.clone())
    return layer


@dataclass(frozen=True, eq=False)
class Written:
    """Weights W_0, keys and values that are written into them, and a query that reads."""

    start: Tensor
    keys: Tensor
    values: Tensor
    query: Tensor

    def squared_loss_steps(self, start: Tensor, steps: int) -> Tensor:
        """The weights after full-batch steps of torch's SGD at the rate 1/2 on sum_i |W k_i - v_i|^2."""
        weights = nn.Parameter(start.clone())
        optimizer = torch.optim.SGD([weights], lr=0.5)
        for _ in range(steps):
            optimizer.zero_grad()
            (self.keys @ weights.mT - self.values).square().sum().backward()
            optimizer.step()
        return weights.detach()

    def token_by_token(self, start: Tensor, rates: Tensor) -> Tensor:
        """The weights after a step of torch's SGD on 1/2 |W k_i - v_i|^2 for each token in turn."""
        weights = nn.Parameter(start.clone())
        for key, value, rate in zip(self.keys, self.values, rates, strict=True):
            weights.grad = None
            ((weights @ key - value).square().sum() / 2).backward()
            torch.optim.SGD([weights], lr=float(rate)).step()
        return weights.detach()


@st.composite
def writings(draw: st.DrawFn, *, least_tokens: int = 1, most_tokens: int = 6, least_inputs: int = 1) -> Written:
    """Layers of any shape, and one to six tokens."""
    inputs, outputs = draw(st.integers(least_inputs, 5)), draw(st.integers(1, 4))
    tokens, seed = draw(st.integers(least_tokens, most_tokens)), draw(SEEDS)
    keys, query = normal(seed + 1, tokens, inputs), normal(seed + 3, inputs)
    return Written(normal(seed, outputs, inputs), keys, normal(seed + 2, tokens, outputs), query)
