"""Linear regression with Gaussian weights and noise: the posterior mean, and the expected errors of ridge regression.

Weights are w ~ N(0, t^2 I), targets y = X w + e with e ~ N(0, s^2 I). An error is E|w - estimate|^2, which is the
excess squared error at a query with uncorrelated entries of variance 1.

Source: Akyürek et al. 2023, section 4.3, equation 18 and after; the errors of other penalties are worked out here.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Inputs = Float[Tensor, "demonstrations inputs"]
Targets = Float[Tensor, " demonstrations"]


def posterior_mean(inputs: Inputs, targets: Targets, prior: float, noise: float) -> Float[Tensor, " inputs"]:
    """E[w | y] = Cov(w, y) Cov(y)^-1 y, from the joint law of weights and targets; `prior` is t^2, `noise` is s^2.

    >>> posterior_mean(torch.tensor([[1.0]]), torch.tensor([3.0]), prior=2.0, noise=1.0).item()
    2.0
    """
    shared = prior * inputs.mT
    spread = inputs @ shared + noise * torch.eye(len(inputs)).to(inputs)
    mean: Tensor = shared @ torch.linalg.solve(spread, targets)
    return mean


def least_penalty(prior: float, noise: float) -> float:
    """The penalty with the least expected error: s^2 / t^2.

    Source: Akyürek et al. 2023, section 4.3.

    >>> least_penalty(prior=2.0, noise=1.0)
    0.5
    """
    return noise / prior


def ridge_error(inputs: Inputs, penalty: float, prior: float, noise: float) -> Float[Tensor, ""]:
    """E|w - ridge|^2: the sum over eigenvalues l of X^T X of (t^2 lambda^2 + s^2 l) / (l + lambda)^2.

    >>> ridge_error(torch.tensor([[1.0]]), penalty=1.0, prior=2.0, noise=2.0).item()
    1.0
    """
    spectrum = torch.linalg.eigvalsh(inputs.mT @ inputs).clamp(min=0)
    error: Tensor = ((prior * penalty**2 + noise * spectrum) / (spectrum + penalty) ** 2).sum()
    return error


def least_error(inputs: Inputs, prior: float, noise: float) -> Float[Tensor, ""]:
    """The least expected error of any estimate: the trace of the covariance of w given y, (X^T X / s^2 + I / t^2)^-1.

    >>> least_error(torch.tensor([[1.0]]), prior=2.0, noise=2.0).item()
    1.0
    """
    precision = inputs.mT @ inputs / noise + torch.eye(inputs.shape[1]).to(inputs) / prior
    error: Tensor = torch.linalg.inv(precision).trace()
    return error
