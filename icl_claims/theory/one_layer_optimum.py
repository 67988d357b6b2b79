"""The best single layer of linear self-attention for linear regression in context.

Inputs are x ~ N(0, Sigma), tasks w ~ N(0, M), and targets y = w^T x, or with noise of variance s^2. Of n demonstrations
with S = 1/n sum_j x_j x_j^T, a layer without a bias answers w^T S A x + noise: one step of gradient descent from W0 = 0
that is preconditioned by A.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Covariance = Float[Tensor, "inputs inputs"]


@dataclass(frozen=True, eq=False)
class Distribution:
    """What demonstrations and queries are drawn from.

    Args:
        inputs: Sigma.
        tasks: M.
        demonstrations: n.
        noise: s^2, the variance of the noise of the demonstrations' targets.
    """

    inputs: Tensor
    tasks: Tensor
    demonstrations: int
    noise: float = 0.0


def best_preconditioner(given: Distribution) -> Covariance:
    """A = ((1 + 1/n) M Sigma + (tr(M Sigma) + s^2)/n I)^-1 M, the preconditioner with the least expected loss.

    With M = I and no noise it is ((1 + 1/n) Sigma + tr(Sigma)/n I)^-1, with M = Sigma^-1 it is
    Sigma^-1 / (1 + (d + 1 + s^2)/n). The trace is what few demonstrations cost.

    Source: Ahn et al. 2023, theorem 1, and Zhang, Frei and Bartlett 2024, theorem 4.1, for M = I without noise; the
    rest is worked out here, from E[S M S] = (1 + 1/n) Sigma M Sigma + tr(M Sigma) Sigma / n.

    >>> best_preconditioner(Distribution(torch.eye(1), torch.eye(1), demonstrations=2)).item()  # 1 / (1 + 2/2)
    0.5
    """
    n, together = given.demonstrations, given.tasks @ given.inputs
    identity = torch.eye(len(together)).to(together)
    curvature = (1 + 1 / n) * together + (together.trace() + given.noise) / n * identity
    preconditioner: Tensor = torch.linalg.solve(curvature, given.tasks)
    return preconditioner


def least_loss(given: Distribution) -> float:
    """The expectation of 1/2 (prediction - w^T x)^2 at the best preconditioner: 1/2 tr(M Sigma (I - A Sigma)).

    With Sigma = M = I and no noise it is d (d + 1) / (2 (n + d + 1)).

    >>> least_loss(Distribution(torch.eye(1), torch.eye(1), demonstrations=2))
    0.25
    """
    together = given.tasks @ given.inputs
    return float((together - together @ best_preconditioner(given) @ given.inputs).trace() / 2)


def layer_loss(
    projection: Float[Tensor, " width"],
    scores: Float[Tensor, "width inputs"],
    tokens: Float[Tensor, "points demonstrations width"],
    weights: Float[Tensor, "points inputs"],
    mass: Float[Tensor, " points"],
    inputs: Covariance,
) -> Float[Tensor, ""]:
    """The expectation of 1/2 (p^T E^T E Q x / n - w^T x)^2 over weighted prompts of tokens (x_j, y_j), and over x.

    p is the last row of P W_V, and Q the columns of W_K^T W_Q that meet the query's input: of a layer, the answer to a
    query (x, 0) depends on nothing else.

    Source: Ahn et al. 2023 and Zhang, Frei and Bartlett 2024, the linear attention model.

    >>> one, p, q = torch.ones(1, 1), torch.tensor([0.0, 1.0]), torch.tensor([[1.0], [0.0]])
    >>> layer_loss(p, q, torch.tensor([[[1.0, 2.0]]]), 2 * one, one[0], one).item()  # 2 x is answered by 2 x
    0.0
    """
    moments = tokens.mT @ tokens / tokens.shape[1]
    wrong = torch.einsum("w,nwv,vi->ni", projection, moments, scores) - weights
    return (mass * torch.einsum("ni,ij,nj->n", wrong, inputs, wrong)).sum() / 2
