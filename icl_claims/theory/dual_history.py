"""A linear layer after any number of steps is its initial self plus attention over everything it was trained on.

Source: Irie et al. 2022, the dual form of a linear layer trained by gradient descent.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def coefficients(rates: Sequence[float], momentum: float = 0.0, *, nesterov: bool = False) -> Float[Tensor, " steps"]:
    """How much of each step's gradient the final weights hold: W_T = W_0 + sum_s c_s G_s.

    With momentum m and rates eta_t, v_t = m v_{t-1} + G_t and W_t = W_{t-1} - eta_t v_t, so

        c_s = -sum_{t >= s} eta_t m^(t - s),

    and with Nesterov's momentum, where the step is along G_t + m v_t, c_s = -eta_s - sum_{t >= s} eta_t m^(t - s + 1).

    Args:
        rates: the learning rate of every step.
        momentum: m, 0 for plain descent.
        nesterov: whether momentum is Nesterov's.

    Source: Irie et al. 2022 for m = 0; the sum over later steps is momentum written out.

    >>> coefficients([0.5, 0.5], momentum=0.5).tolist()
    [-0.75, -0.5]
    """
    steps = len(rates)
    lag = torch.arange(steps)[None, :] - torch.arange(steps)[:, None]
    kept = torch.where(lag >= 0, torch.tensor(momentum, dtype=torch.float64) ** lag.clamp(min=0), 0.0)
    if nesterov:
        kept = momentum * kept + torch.eye(steps, dtype=torch.float64)
    return -kept @ torch.tensor(list(rates), dtype=torch.float64)


def attend_over_history(
    initial: Float[Tensor, "outputs inputs"],
    errors: Float[Tensor, "pairs outputs"],
    inputs: Float[Tensor, "pairs inputs"],
    coefficients: Float[Tensor, " pairs"],
    query: Float[Tensor, "queries inputs"],
) -> Float[Tensor, "queries outputs"]:
    """W_0 x + sum_t c_t e_t (x_t^T x): unnormalised attention with inputs as keys and scaled error signals as values.

    Args:
        initial: the weights before training.
        errors: dL/d(W x_t) of every training pair, as it was at its step.
        inputs: x_t, the layer's input of every training pair.
        coefficients: c_t of the step of each pair.
        query: inputs of the trained layer now.

    Source: Irie et al. 2022, the dual form.

    >>> one, two, three = (torch.full((1, 1), number) for number in (1.0, 2.0, 3.0))
    >>> attend_over_history(two, one, two, torch.tensor([-0.5]), three).item()  # 2 * 3 - 0.5 * 1 * (2 * 3)
    3.0
    """
    scores = query @ inputs.mT
    return query @ initial.mT + scores @ (coefficients[:, None] * errors)
