"""What layers of gradient descent come to under a causal mask: one pass of online descent over the demonstrations.

A stack of the constructed layers of `linear_self_attention`, from W0 = 0 and with one step length eta, always answers
by a linear model W = sum_j a_j x_j^T. Here are its coefficients a_j, after any number of layers and in the limit.

Source: Ding et al. 2024, on the stationary points of prefix and of causal language models.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Inputs = Float[Tensor, "demonstrations inputs"]
Targets = Float[Tensor, "demonstrations outputs"]
Coefficients = Float[Tensor, "demonstrations outputs"]


def coefficients_after(inputs: Inputs, targets: Targets, *, rate: float, layers: int) -> Coefficients:
    """Coefficients after so many causal layers, from 0 by a <- a + eta (y - L a), L the lower triangle of X X^T.

    The eigenvalues of I - eta L are 1 - eta |x_j|^2, so it converges where eta < 2 / max_j |x_j|^2.

    >>> x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [1.0]])
    >>> coefficients_after(x, y, rate=0.5, layers=2).flatten().tolist()
    [0.75, -0.5]
    """
    seen = (inputs @ inputs.mT).tril()
    coefficients = torch.zeros_like(targets)
    for _ in range(layers):
        coefficients = coefficients + rate * (targets - seen @ coefficients)
    return coefficients


def online_coefficients(inputs: Inputs, targets: Targets) -> Coefficients:
    """The limit: a_j = (y_j - sum_{i<j} a_i x_i^T x_j) / |x_j|^2, the error of the model so far over |x_j|^2.

    So W_j = W_{j-1} + (y_j - W_{j-1} x_j) x_j^T / |x_j|^2: online descent on |W x_j - y_j|^2 / 2, each demonstration
    met once, with a step of 1 / |x_j|^2 that fits it exactly.

    >>> x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [1.0]])
    >>> online_coefficients(x, y).flatten().tolist()
    [1.0, -0.25]
    """
    weights, found = inputs.new_zeros(targets.shape[1], inputs.shape[1]), []
    for x, y in zip(inputs, targets, strict=True):
        found.append((y - weights @ x) / (x @ x))
        weights = weights + torch.outer(found[-1], x)
    return torch.stack(found) if found else torch.zeros_like(targets)
