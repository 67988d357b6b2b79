"""The dual model of softmax attention: a linear model over features of the exponential kernel.

Softmax attention is sum_j exp(k_j^T q) v_j / D, with the denominator D = sum_j exp(k_j^T q), and exp(k^T q) is an inner
product of features phi(k) and phi(q).

Source: Ren and Liu 2023, abstract, and the loss of the dual model, as reported.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "points width"]
Keys = Float[Tensor, "demonstrations width"]
Values = Float[Tensor, "demonstrations outputs"]


def exponential_features(points: Points, degree: int) -> Float[Tensor, "points features"]:
    """Features with <phi(k), phi(q)> = exp(k^T q) but for terms of a higher degree: products of x_i^a / sqrt(a!).

    There are (degree + 1)^width of them, as exp(k^T q) is the product over i of sum_a (k_i q_i)^a / a!.

    >>> exponential_features(torch.tensor([[2.0]]), degree=1).tolist()
    [[1.0, 2.0]]
    """
    powers = torch.arange(degree + 1).to(points)
    single = points[..., None] ** powers / (torch.lgamma(powers + 1) / 2).exp()
    features = torch.ones_like(points[:, :1])
    for coordinate in single.unbind(dim=1):
        features = (features[:, :, None] * coordinate[:, None, :]).flatten(start_dim=1)
    return features


def denominator(keys: Keys, query: Float[Tensor, " width"]) -> Float[Tensor, ""]:
    """The softmax's denominator D = sum_j exp(k_j^T q) for a query.

    >>> denominator(torch.zeros(3, 1), torch.zeros(1)).item()
    3.0
    """
    return (keys @ query).exp().sum()


def dual_loss(
    weights: Float[Tensor, "outputs features"],
    features: Float[Tensor, "demonstrations features"],
    values: Values,
    normaliser: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """-1/D sum_j <v_j, W phi(k_j)>: the loss that the dual model takes one step on, from W = 0.

    Source: Ren and Liu 2023, as reported; a learning rate that it is divided by there is left out, with the step's.

    >>> dual_loss(torch.ones(1, 1), torch.tensor([[2.0]]), torch.tensor([[3.0]]), torch.tensor(2.0)).item()
    -3.0
    """
    return -(values * (features @ weights.mT)).sum() / normaliser
