"""Linear attention whose training is watched: keys and queries merged in one matrix a head, or apart and of rank one.

A layer of H heads answers with K m, m = X^T y / n: K = sum_h v_h W_h where keys and queries are merged, and
K = sum_h v_h q_h k_h^T where they are apart. With x ~ N(0, C) and w ~ N(0, I) the loss over all tasks is

    E (w^T x - m^T K^T x)^2 = tr C - 2 tr(C K C) + tr(C K Q K^T),  Q = E[(X^T X / n)^2] = (1 + 1/n) C^2 + tr(C) C / n,

so that nothing is drawn but the start.

Source: Zhang, Singh, Latham and Saxe 2025 (the two ways to write a layer); the loss was worked out here.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import find_peaks
from torch import Tensor

from icl_claims.theory import training
from icl_claims.theory.training import Training

Spectrum = Float[Tensor, " inputs"]
Learned = Float[Tensor, "*batch inputs inputs"]
Parametrisation = Literal["merged", "separate"]
PARAMETRISATIONS: tuple[Parametrisation, ...] = ("merged", "separate")


def loss(learned: Learned, spectrum: Spectrum, demonstrations: int) -> Float[Tensor, "*batch"]:
    """The loss over all tasks, for inputs with independent coordinates of these variances.

    >>> loss(torch.tensor([[0.5]]), torch.tensor([2.0]), demonstrations=1).item()  # 2 - 2 * 0.5 * 4 + 0.25 * 2 * 12
    4.0
    """
    linear = 2 * torch.diag(spectrum**2)
    square = torch.outer(spectrum, second_moment(spectrum, demonstrations))
    return spectrum.sum() + (learned * (square * learned - linear)).sum((-2, -1))


def second_moment(spectrum: Spectrum, demonstrations: int) -> Spectrum:
    """Eigenvalues of E[(X^T X / n)^2].

    >>> second_moment(torch.tensor([2.0]), demonstrations=1).item()  # E x^4 = 3 * 2^2
    12.0
    """
    return (1 + 1 / demonstrations) * spectrum**2 + spectrum.sum() * spectrum / demonstrations


def on_components(spectrum: Spectrum, demonstrations: int, components: int) -> Learned:
    """The best K that reads the inputs' first principal components only: regression on these.

    It is l / Q on each, which is 1 / l for many demonstrations.

    Args:
        spectrum: variances, largest first.
        demonstrations: in each task.
        components: how many it reads.

    >>> on_components(torch.tensor([2.0, 1.0]), 10**6, components=1).round(decimals=3).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    best = spectrum / second_moment(spectrum, demonstrations)
    best[components:] = 0
    return torch.diag(best)


def train(
    seeds: Sequence[int], kind: Parametrisation, *, spectrum: Spectrum, heads: int, demonstrations: int, how: Training
) -> Float[Tensor, "steps seeds inputs inputs"]:
    """K before every step of training, from the random start of each seed: as many trainings side by side.

    >>> K = train([0, 1], "merged", spectrum=torch.ones(3).double(), heads=1, demonstrations=3, how=Training(steps=5))
    >>> tuple(K.shape)
    (5, 2, 3, 3)
    """
    inputs, passed = len(spectrum), list[Tensor]()
    width = 1 + (inputs * inputs if kind == "merged" else 2 * inputs)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    start = torch.stack([training.initial(how, heads, width, generator=generator) for generator in generators])
    training.trained(
        start,
        lambda weights: loss(_learned(weights, kind, inputs), spectrum, demonstrations).sum(),
        how,
        watch=lambda weights, _: passed.append(weights.clone()),
    )
    return _learned(torch.stack(passed), kind, inputs)


def plateaus(losses: Float[np.ndarray, " steps"]) -> list[int]:
    """The steps between drops at which the loss falls most slowly; there is one drop more.

    A drop is a peak of the loss's rate of descent. Between two of them the rate falls below a tenth of the lower one,
    and on either side the loss falls by a hundredth or more of all that it falls.

    >>> steps = np.arange(100)
    >>> plateaus(2 - 1 / (1 + np.exp((20 - steps) / 2)) - 1 / (1 + np.exp((71 - steps) / 2)))
    [45]
    """
    rates = np.maximum(-np.diff(losses), 1e-9 * losses[0])
    peaks, _ = find_peaks(np.log(rates), prominence=np.log(10))
    dips = [int(one + np.argmin(rates[one:other])) for one, other in pairwise(peaks)]
    ends, least = [0, *dips, len(losses) - 1], 0.01 * (losses[0] - losses[-1])
    falls = [losses[one] - losses[other] >= least for one, other in pairwise(ends)]
    return [dip for dip, before, after in zip(dips, falls[:-1], falls[1:], strict=True) if before and after]


def _learned(weights: Tensor, kind: Parametrisation, inputs: int) -> Tensor:
    values, rest = weights[..., :1], weights[..., 1:]
    if kind == "merged":
        return (values * rest).sum(-2).view(*weights.shape[:-2], inputs, inputs)
    queries, keys = rest[..., :inputs], rest[..., inputs:]
    return (values * queries).mT @ keys
