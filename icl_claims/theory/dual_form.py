"""Two dual forms: a linear layer after steps of gradient descent, and attention to demonstrations without softmax.

Each is a linear layer whose weights hold an update, and each is linear attention to what the update came from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LayerWeights = Float[Tensor, "out in"]
LayerInputs = Float[Tensor, "examples in"]
ErrorSignals = Float[Tensor, "examples out"]
OutputLoss = Callable[[ErrorSignals], Float[Tensor, ""]]
"""Any differentiable function of all outputs of the layer."""


def error_signals(weight: LayerWeights, inputs: LayerInputs, loss: OutputLoss, learning_rate: float) -> ErrorSignals:
    """e_i = -eta dL/d(W0 x_i): how far a step wants to move the output of each training example.

    Source: "Rethinking ...", section 2.1, above equation 1.

    >>> error_signals(torch.eye(2), torch.ones(1, 2), lambda outputs: outputs.sum(), 0.5).tolist()
    [[-0.5, -0.5]]
    """
    outputs = (inputs @ weight.T).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(outputs), outputs)
    return -learning_rate * gradient


def weight_change(errors: ErrorSignals, inputs: LayerInputs) -> LayerWeights:
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
    weight: LayerWeights, errors: ErrorSignals, inputs: LayerInputs, query: Float[Tensor, " in"]
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


HeadTokens = Float[Tensor, "tokens width"]
Shown = Float[Tensor, "shown width"]
HeadVector = Float[Tensor, " inner"]
HeadUpdate = Float[Tensor, "inner inner"]


@dataclass(frozen=True, eq=False)
class Head:
    """The value and key projections of one attention head, W_V and W_K."""

    to_values: Float[Tensor, "inner width"]
    to_keys: Float[Tensor, "inner width"]


def linear_head(head: Head, tokens: HeadTokens, query: HeadVector) -> HeadVector:
    """W_V X (W_K X)^T q: the output of a head without softmax and scale for a query that sees these tokens.

    Source: "Rethinking ...", section 2.2, equation 3.

    >>> linear_head(Head(2 * torch.eye(1), 3 * torch.eye(1)), torch.ones(2, 1), torch.ones(1)).tolist()
    [12.0]
    """
    return linear_attention(tokens @ head.to_values.T, tokens @ head.to_keys.T, query)


def softmax_head(head: Head, tokens: HeadTokens, query: HeadVector) -> HeadVector:
    """W_V X softmax((W_K X)^T q / sqrt(inner)): the attention that transformers run, which couples all tokens.

    Source: "Rethinking ...", section 2.2, which equation 3 simplifies.

    >>> softmax_head(Head(2 * torch.eye(1), 3 * torch.eye(1)), torch.ones(2, 1), torch.ones(1)).tolist()
    [2.0]
    """
    weights = torch.softmax((tokens @ head.to_keys.T) @ query / query.shape[0] ** 0.5, dim=0)
    return weights @ (tokens @ head.to_values.T)


def zero_shot_weights(head: Head, tokens: HeadTokens) -> HeadUpdate:
    """W_ZSL = W_V X (W_K X)^T: attention to the query's own tokens, as the weights of a linear layer.

    Source: "Rethinking ...", section 2.2, between equations 3 and 4.

    >>> zero_shot_weights(Head(2 * torch.eye(1), 3 * torch.eye(1)), torch.ones(1, 1)).tolist()
    [[6.0]]
    """
    return (tokens @ head.to_values.T).T @ (tokens @ head.to_keys.T)


def in_context_update(head: Head, demonstrations: Shown) -> HeadUpdate:
    """Delta W_ICL = sum_i W_V x'_i (W_K x'_i)^T: keys as training examples, values as their meta-gradients.

    Source: "Rethinking ...", section 2.2, equation 4.

    >>> in_context_update(Head(2 * torch.eye(1), 3 * torch.eye(1)), torch.ones(2, 1)).tolist()
    [[12.0]]
    """
    return weight_change(demonstrations @ head.to_values.T, demonstrations @ head.to_keys.T)


def dual_form(head: Head, demonstrations: Shown, tokens: HeadTokens, query: HeadVector) -> HeadVector:
    """(W_ZSL + Delta W_ICL) q: attention to [X'; X] as a linear layer after an update.

    Source: "Rethinking ...", section 2.2, equation 4.

    >>> head, shown, own, query = Head(torch.eye(1), torch.eye(1)), torch.ones(2, 1), torch.ones(1, 1), torch.ones(1)
    >>> dual_form(head, shown, own, query).item(), linear_head(head, torch.cat([shown, own]), query).item()
    (3.0, 3.0)
    """
    return (zero_shot_weights(head, tokens) + in_context_update(head, demonstrations)) @ query
