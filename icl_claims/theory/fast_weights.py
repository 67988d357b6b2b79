"""Two rules by which a layer writes keys and values into its weights: one adds them, the other corrects an error.

Source: Sun et al. 2024, theorem 1; Yang, Kautz and Hatamizadeh 2025, table 1; Schlag et al. 2021 for the delta rule.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Weights = Float[Tensor, "outputs inputs"]
Keys = Float[Tensor, "tokens inputs"]
Values = Float[Tensor, "tokens outputs"]


def hebbian(weights: Weights, keys: Keys, values: Values) -> Weights:
    """W + sum_i v_i k_i^T: the weights that linear attention over the tokens amounts to.

    >>> hebbian(torch.zeros(1, 1), torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]])).item()
    11.0
    """
    return weights + values.mT @ keys


def delta_rule(weights: Weights, keys: Keys, values: Values, rates: Float[Tensor, " tokens"]) -> Weights:
    """W <- W - beta_i (W k_i - v_i) k_i^T, one token after the other.

    Source: Yang et al. 2025, table 1, DeltaNet.

    >>> k, v = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]])
    >>> delta_rule(torch.zeros(1, 1), k, v, torch.tensor([1.0, 0.25])).item()  # 3, then 3 - (6 - 4) * 2 / 4
    2.0
    """
    for key, value, rate in zip(keys, values, rates, strict=True):
        weights = weights - rate * torch.outer(weights @ key - value, key)
    return weights


def inner_product_loss(weights: Weights, keys: Keys, values: Values) -> Float[Tensor, ""]:
    """-sum_i <W k_i, v_i>: linear in W, so it has a slope that is the same everywhere, and no minimum.

    Source: Yang et al. 2025, table 1, linear attention.

    >>> inner_product_loss(torch.ones(1, 1), torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]])).item()
    -11.0
    """
    return -((keys @ weights.mT) * values).sum()
