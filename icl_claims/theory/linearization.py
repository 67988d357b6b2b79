"""The first-order expansion of a model in its parameters, and gradient descent on it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev

Function = Callable[[Float[Tensor, " parameters"]], Float[Tensor, " outputs"]]
"""The outputs of a model at a fixed input, as a function of all its parameters."""
ModelLoss = Callable[[Float[Tensor, " outputs"]], Float[Tensor, ""]]


@dataclass(frozen=True, eq=False)
class LinearModel:
    """f_lin(delta) = f(theta_0) + phi delta.

    Args:
        value: f(theta_0), the outputs before any change.
        features: phi = df/dtheta at theta_0.
    """

    value: Float[Tensor, " outputs"]
    features: Float[Tensor, "outputs parameters"]


def linearize(function: Function, start: Float[Tensor, " parameters"]) -> LinearModel:
    """The first-order Taylor expansion of a model around its parameters.

    Source: "Rethinking ...", section 2.3, equation 5.

    >>> linearize(lambda w: w**2, torch.tensor([3.0])).features.tolist()
    [[6.0]]
    """
    features: Tensor = jacrev(function)(start)
    return LinearModel(function(start).detach(), features.detach())


def linear_output(model: LinearModel, change: Float[Tensor, " parameters"]) -> Float[Tensor, " outputs"]:
    """f_lin(delta) = f(theta_0) + delta^T grad f(theta_0).

    Source: "Rethinking ...", section 2.3, equation 5.

    >>> linear_output(linearize(lambda w: w**2, torch.tensor([3.0])), torch.tensor([1.0])).tolist()  # not 16
    [15.0]
    """
    return model.value + model.features @ change


def coefficient_step(
    model: LinearModel, change: Float[Tensor, " parameters"], loss: ModelLoss, learning_rate: float
) -> Float[Tensor, " parameters"]:
    """Delta - eta phi^T dL/df_lin, the change after a step of descent that differentiates the loss, never the network.

    Source: "Rethinking ...", section 2.3, below equation 5.

    >>> model = linearize(lambda w: w**2, torch.tensor([3.0]))
    >>> coefficient_step(model, torch.tensor([0.0]), lambda outputs: outputs.sum(), 0.5).tolist()
    [-3.0]
    """
    output = linear_output(model, change).detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss(output), output)
    return change - learning_rate * model.features.T @ slope
