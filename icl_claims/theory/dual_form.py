"""A linear layer after steps of gradient descent, and the linear attention that computes the same."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

OutputLoss = Callable[[Float[Tensor, "examples out"]], Float[Tensor, ""]]
"""Any differentiable function of all outputs of the layer."""


def error_signals(
    weight: Float[Tensor, "out in"], inputs: Float[Tensor, "examples in"], loss: OutputLoss, learning_rate: float
) -> Float[Tensor, "examples out"]:
    """e_i = -eta dL/d(W0 x_i): how far a step wants to move the output of each training example.

    Source: "Rethinking ...", section 2.1, above equation 1.

    >>> error_signals(torch.eye(2), torch.ones(1, 2), lambda outputs: outputs.sum(), 0.5).tolist()
    [[-0.5, -0.5]]
    """
    outputs = (inputs @ weight.T).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(outputs), outputs)
    return -learning_rate * gradient


def weight_change(
    errors: Float[Tensor, "examples out"], inputs: Float[Tensor, "examples in"]
) -> Float[Tensor, "out in"]:
    """Delta W = sum_i e_i x_i^T: the change of the weights, as outer products.

    Source: "Rethinking ...", section 2.1, equation 1.

    >>> weight_change(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])).tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """
    return torch.einsum("no,ni->oi", errors, inputs)


def linear_attention(
    values: Float[Tensor, "tokens out"], keys: Float[Tensor, "tokens in"], query: Float[Tensor, " in"]
) -> Float[Tensor, " out"]:
    """LinearAttn(V, K, q) = sum_i v_i (k_i^T q): attention without softmax, scale or normaliser.

    Source: "Rethinking ...", section 2.1, equation 2; tokens are rows here, columns there.

    >>> linear_attention(torch.tensor([[1.0], [2.0]]), torch.eye(2), torch.tensor([3.0, 4.0])).tolist()
    [11.0]
    """
    return values.T @ (keys @ query)


def attention_form(
    weight: Float[Tensor, "out in"],
    errors: Float[Tensor, "examples out"],
    inputs: Float[Tensor, "examples in"],
    query: Float[Tensor, " in"],
) -> Float[Tensor, " out"]:
    """W0 x + LinearAttn(E, X, x): the layer after the step, with error signals as values and examples as keys.

    Source: "Rethinking ...", section 2.1, equation 2.

    >>> w, e, x, q = torch.eye(2), torch.ones(1, 2), torch.tensor([[1.0, 2.0]]), torch.tensor([1.0, 0.0])
    >>> attention_form(w, e, x, q).tolist(), ((w + weight_change(e, x)) @ q).tolist()
    ([2.0, 1.0], [2.0, 1.0])
    """
    return weight @ query + linear_attention(errors, inputs, query)


def coefficients(rates: Sequence[float], momentum: float = 0.0, *, nesterov: bool = False) -> Float[Tensor, " steps"]:
    """How much of each step's gradient the final weights hold: W_T = W_0 + sum_s c_s G_s.

    With momentum m and rates eta_t, v_t = m v_{t-1} + G_t and W_t = W_{t-1} - eta_t v_t, so

        c_s = -sum_{t >= s} eta_t m^(t - s),

    and with Nesterov's momentum, where the step is along G_t + m v_t, c_s = -eta_s - sum_{t >= s} eta_t m^(t - s + 1).

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

    e_t = dL/d(W x_t) is the error signal of a training pair as it was at its step.

    Source: Irie et al. 2022, the dual form.

    >>> one, two, three = (torch.full((1, 1), number) for number in (1.0, 2.0, 3.0))
    >>> attend_over_history(two, one, two, torch.tensor([-0.5]), three).item()  # 2 * 3 - 0.5 * 1 * (2 * 3)
    3.0
    """
    scores = query @ inputs.mT
    return query @ initial.mT + scores @ (coefficients[:, None] * errors)
