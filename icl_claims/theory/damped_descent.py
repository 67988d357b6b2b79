"""A layer that takes one step of gradient descent, repeated with a damped update: e <- e + lambda (layer(e) - e).

On a task with S = 1/N sum_j x_j x_j^T this is descent at the rate lambda eta, which multiplies the error along an
eigenvector of S with eigenvalue l by 1 - lambda eta l at every repeat. It grows without end where lambda eta l > 2.

Source: von Oswald et al. 2023, appendix A.6; the criterion is that of gradient descent on a quadratic loss.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Inputs = Float[Tensor, "*tasks demonstrations inputs"]
Spectra = Float[Tensor, "*tasks inputs"]


def spectrum(inputs: Inputs) -> Spectra:
    """Eigenvalues of 1/N sum_j x_j x_j^T, smallest first.

    >>> spectrum(torch.tensor([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [2.0, 8.0]
    """
    eigenvalues: Tensor = torch.linalg.eigvalsh(inputs.mT @ inputs / inputs.shape[-2])
    return eigenvalues


def critical_damping(inputs: Inputs, rate: float) -> Float[Tensor, "*tasks"]:
    """2 / (eta l), l the largest eigenvalue: a layer of rate eta may be repeated without end below it, not above.

    >>> critical_damping(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), rate=0.5).item()
    0.5
    """
    return 2 / (rate * spectrum(inputs)[..., -1])


def safe_damping(inputs: int, rate: float) -> float:
    """2 / (eta d): no task with inputs within [-1, 1]^d diverges below it, and those in one corner do above.

    >>> safe_damping(10, rate=2.0)
    0.1
    """
    return 2 / (rate * inputs)


def best_rate(spectra: Float[Tensor, "tasks inputs"]) -> float:
    """The rate of one step from W0 = 0 that has the least mean loss over tasks: sum l / sum l^2.

    >>> best_rate(torch.tensor([[1.0, 1.0]]))
    1.0
    """
    return float(spectra.sum() / spectra.square().sum())


def mean_losses(spectra: Float[Tensor, "tasks inputs"], rate: float, repeats: int) -> Float[Tensor, " losses"]:
    """The mean loss over tasks before and after each of so many steps of this rate from W0 = 0.

    The mean is over w ~ N(0, I) and queries x ~ U(-1, 1) too: 1/2 E[(x^T (I - eta S)^t w)^2], a sixth of the sum of
    (1 - eta l)^(2t).

    >>> (6 * mean_losses(torch.tensor([[1.0, 2.0]]), rate=0.5, repeats=1)).tolist()
    [2.0, 0.25]
    """
    factor, left, losses = (1 - rate * spectra).square(), torch.ones_like(spectra), []
    for _ in range(repeats + 1):
        losses.append(left.sum(-1).mean() / 6)
        left = left * factor
    return torch.stack(losses)
