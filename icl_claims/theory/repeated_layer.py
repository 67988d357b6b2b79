"""One layer of linear self-attention, applied several times and trained so; and the GD++ that it is compared with.

A stack of linear self-attention is linear in its query token, so that it has a linear model in effect, and its loss is
exact in the query: inputs x ~ U(-1, 1) give E[1/2 (v^T x - w^T x)^2] = |v - w|^2 / 6. Tasks have w ~ N(0, I).

Source: von Oswald et al. 2023, section 3, figure 3 (recurrent, two layers).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor

from icl_claims.theory import linear_self_attention as attention
from icl_claims.theory import training
from icl_claims.theory.linear_self_attention import DemonstrationTokens, LinearSelfAttention
from icl_claims.theory.training import Training

TaskWeights = Float[Tensor, "tasks inputs"]


@dataclass(frozen=True)
class Regressions:
    """Linear tasks.

    Args:
        demonstrations: tokens (x_j, w^T x_j), of shape (tasks, demonstrations, inputs + 1).
        weights: w of each task, of shape (tasks, inputs).
    """

    demonstrations: Tensor
    weights: Tensor

    def spectra(self) -> TaskWeights:
        """Eigenvalues of sum_j x_j x_j^T, smallest first, of each task."""
        inputs = self.demonstrations[..., :-1]
        eigenvalues: Tensor = torch.linalg.eigvalsh(inputs.mT @ inputs)
        return eigenvalues


def draw(tasks: int, *, demonstrations: int, inputs: int, generator: torch.Generator) -> Regressions:
    """Random tasks with inputs x ~ U(-1, 1).

    >>> tasks = draw(4, demonstrations=3, inputs=2, generator=torch.Generator().manual_seed(0))
    >>> tuple(tasks.demonstrations.shape), tuple(tasks.weights.shape)
    ((4, 3, 3), (4, 2))
    """
    x = 2 * torch.rand(tasks, demonstrations, inputs, generator=generator, dtype=torch.float64) - 1
    w = torch.randn(tasks, inputs, 1, generator=generator, dtype=torch.float64)
    return Regressions(attention.demonstration_tokens(x, x @ w), w[..., 0])


def model_in_effect(layer: LinearSelfAttention, repeats: int, demonstrations: DemonstrationTokens) -> TaskWeights:
    """The linear model with which the repeated layer answers: its answers to unit vectors.

    >>> layer = attention.construct(torch.zeros(1, 1), rate=0.5, demonstrations=1)
    >>> model_in_effect(layer, 2, torch.tensor([[[1.0, 2.0]]])).tolist()  # 0.5 * 2, then 0.5 * (2 - 1) more
    [[1.5]]
    """
    values, scores = attention.products(layer)
    identity, moments = torch.eye(len(values)).to(values), demonstrations.mT @ demonstrations
    change = identity  # a token e becomes (I + P W_V E^T E W_K^T W_Q) e, so that E^T E is all that a layer reads
    for _ in range(repeats - 1):
        layered = identity + values @ moments @ scores
        moments, change = layered @ moments @ layered.mT, layered @ change
    last = identity[-1:] + values[-1:] @ moments @ scores
    return -(last @ change)[..., 0, :-1]


def loss(layer: LinearSelfAttention, repeats: int, tasks: Regressions) -> Float[Tensor, ""]:
    """E[1/2 (prediction - y)^2] over queries x ~ U(-1, 1), the mean over tasks.

    >>> layer = attention.construct(torch.zeros(1, 1), rate=0.5, demonstrations=1)
    >>> tasks = Regressions(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[2.0]]))
    >>> round(6 * loss(layer, 2, tasks).item(), 6)  # (1.5 - 2)^2
    0.25
    """
    missed = model_in_effect(layer, repeats, tasks.demonstrations) - tasks.weights
    return missed.square().sum(-1).mean() / 6


def train(seed: int, *, repeats: int, demonstrations: int, inputs: int, how: Training) -> LinearSelfAttention:
    """A layer with all four matrices free, trained from a small random start to be applied several times.

    >>> tuple(train(0, repeats=2, demonstrations=2, inputs=1, how=Training(steps=1, tasks=2)).query.shape)
    (2, 2)
    """
    generator = torch.Generator().manual_seed(seed)

    def of_fresh_tasks(matrices: training.Weights) -> training.Loss:
        tasks = draw(how.tasks, demonstrations=demonstrations, inputs=inputs, generator=generator)
        return loss(LinearSelfAttention(*matrices), repeats, tasks)

    start = training.initial(how, 4, inputs + 1, inputs + 1, generator=generator)
    return LinearSelfAttention(*training.trained(start, of_fresh_tasks, how))


def best_plus_plus(tasks: Regressions, repeats: int, *, corrects: bool = True) -> LinearSelfAttention:
    """The layer of GD++ from W0 = 0 whose one eta and one gamma have the least mean loss when it is repeated.

    An eigenvalue l of X X^T leaves prod_k (1 - eta l_k / N) of the task's weights, with l_k after k corrections.

    Args:
        tasks: of N demonstrations each.
        repeats: how often the layer is applied.
        corrects: whether gamma is free; without it, gamma is 0 and the layer a step of gradient descent.

    >>> tasks = Regressions(torch.tensor([[[2.0, 2.0]]]), torch.tensor([[1.0]]))
    >>> round(best_plus_plus(tasks, 1, corrects=False).projection[1, 1].item(), 3)  # eta l = 1
    0.25
    """
    spectra, demonstrations = tasks.spectra().flatten(), tasks.demonstrations.shape[-2]

    def left(free: Any) -> float:
        rate, curvature = (*map(float, free), 0.0)[:2]
        spectrum, rest = spectra, torch.ones_like(spectra)
        for _ in range(repeats):
            rest = rest * (1 - rate * spectrum)
            spectrum = attention.corrected_spectrum(spectrum, curvature)
        return float(rest.square().mean())

    scale = float(1 / spectra.max())
    simplex: Any = scale * np.array([[1.0, 0.2], [1.5, 0.2], [1.0, 0.4]] if corrects else [[1.0], [1.5]])
    options: Any = {"initial_simplex": simplex, "xatol": 1e-9 * scale, "fatol": 1e-12}
    found = minimize(left, simplex[0], method="Nelder-Mead", options=options).x
    rate, curvature = (*map(float, found), 0.0)[:2]
    nothing = tasks.weights.new_zeros(1, tasks.weights.shape[-1])
    return attention.construct_plus_plus(nothing, rate * demonstrations, curvature, demonstrations)
