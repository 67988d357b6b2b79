"""The best answer of a learner that knows a pool of regression tasks, the discrete MMSE estimator.

Source: Raventós et al. 2023, the estimator dMMSE (in the authors' code, icl/models.py); its distance to ridge
regression is worked out here.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Pool = Float[Tensor, "*pools tasks inputs"]
Inputs = Float[Tensor, "demonstrations inputs"]
Targets = Float[Tensor, " demonstrations"]


def dmmse(pool: Pool, inputs: Inputs, targets: Targets, noise: float) -> Float[Tensor, "*pools inputs"]:
    """The weights sum_m p_m w_m, with p = softmax(-|y - X w_m|^2 / 2 s^2); `noise` is s^2.

    >>> pool = torch.tensor([[1.0], [-1.0]])
    >>> dmmse(pool, torch.ones(1, 1), torch.zeros(1), noise=1.0).tolist()
    [0.0]
    """
    squares: Tensor = (targets - pool @ inputs.mT).square().sum(-1)
    return ((-squares / (2 * noise)).softmax(-1)[..., None] * pool).sum(-2)


def distance_constant(inputs: Inputs, targets: Targets, noise: float) -> Float[Tensor, ""]:
    """The limit of M E|dMMSE - ridge|^2 for pools of M tasks from N(0, I), and ridge regression with penalty s^2.

    DMMSE weighs samples of the prior by the likelihood L(w), so that the limit is E[L^2 |w - m|^2] / E[L]^2, with m the
    posterior mean, which ridge regression is. Both expectations are those of Gaussians: L^2 is the likelihood of every
    demonstration seen twice.

    >>> distance_constant(torch.zeros(1, 1), torch.zeros(1), noise=1.0).item()  # nothing is learned: the variance of w
    1.0
    """
    (once, at), (twice, at_twice) = (_evidence(inputs, targets, noise / times) for times in (1, 2))
    covariance = torch.linalg.inv(twice)
    second_moment = (at_twice - at).square().sum() + covariance.trace()
    ratio = torch.logdet(once) - torch.logdet(twice) / 2 - at @ once @ at + at_twice @ twice @ at_twice / 2
    constant: Tensor = ratio.exp() * second_moment
    return constant


def _evidence(inputs: Tensor, targets: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Precision and mean of the posterior; the terms of the likelihood that do not depend on w cancel."""
    precision = inputs.mT @ inputs / noise + torch.eye(inputs.shape[1]).to(inputs)
    return precision, torch.linalg.solve(precision, inputs.mT @ targets / noise)
