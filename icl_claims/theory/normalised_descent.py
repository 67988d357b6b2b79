"""Softmax attention that descends the exponential loss of a linear classifier in its weights.

Source: Zhang and Cao 2026, abstract; the loss of a single head is worked out here.
"""

from jaxtyping import Float
from torch import Tensor

Weights = Float[Tensor, " inputs"]
ExampleInputs = Float[Tensor, "demonstrations inputs"]
Labels = Float[Tensor, " demonstrations"]


def step(weights: Weights, inputs: ExampleInputs, labels: Labels, rate: float) -> Weights:
    """W + r softmax(-Z w)^T Z, with rows z_j = y_j x_j: keys and values y_j x_j, and the query -w.

    >>> import torch
    >>> step(torch.zeros(1), torch.tensor([[1.0], [3.0]]), torch.tensor([1.0, 1.0]), rate=0.5).tolist()
    [1.0]
    """
    signed = labels[:, None] * inputs
    return weights + rate * ((-signed @ weights).softmax(dim=0) @ signed)
