"""Softmax attention at small scales: a mean of the values, and beyond it a step of centred gradient descent.

For scores s_i = k_i^T q, and h(beta) = sum_i softmax(beta s)_i v_i, the slope of h at 0 is the covariance of values and
scores over the tokens, 1/N sum_i (v_i - vbar) (k_i - kbar)^T q, not the raw moment 1/N sum_i v_i k_i^T q.

Source: von Oswald et al. 2023, appendix A.9; He et al. 2025, on debiased gradient descent.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Keys = Float[Tensor, "tokens inputs"]
Values = Float[Tensor, "tokens outputs"]
Query = Float[Tensor, " inputs"]
Output = Float[Tensor, " outputs"]
Moment = Float[Tensor, "outputs inputs"]


def head(keys: Keys, values: Values, query: Query, scale: float | Float[Tensor, ""]) -> Output:
    """h(beta) = sum_i softmax(beta k_i^T q)_i v_i.

    >>> head(torch.zeros(2, 1), torch.tensor([[1.0], [3.0]]), torch.ones(1), 1.0).item()
    2.0
    """
    return torch.softmax(scale * (keys @ query), dim=0) @ values


def opposite_heads(keys: Keys, values: Values, query: Query, scale: float) -> Output:
    """(h(beta) - h(-beta)) / (2 beta): two heads of opposite scales and opposite signs.

    Source: von Oswald et al. 2023, appendix A.9, equations 16 to 21.

    >>> k, v = torch.tensor([[-1.0], [1.0]]), torch.tensor([[-1.0], [1.0]])
    >>> round(opposite_heads(k, v, torch.ones(1), 0.5).item(), 4)  # tanh(1/2) / (1/2)
    0.9242
    """
    return (head(keys, values, query, scale) - head(keys, values, query, -scale)) / (2 * scale)


def raw_moment(keys: Keys, values: Values) -> Moment:
    """1/N sum_i v_i k_i^T: the step from W0 = 0 of a linear model without an intercept.

    >>> raw_moment(torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [1.0]])).item()
    2.0
    """
    return values.mT @ keys / len(keys)


def centred_moment(keys: Keys, values: Values) -> Moment:
    """1/N sum_i (v_i - vbar) (k_i - kbar)^T: the step from W = 0 of a linear model with its best intercept.

    >>> centred_moment(torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [1.0]])).item()
    0.0
    """
    return raw_moment(keys - keys.mean(0), values - values.mean(0))


def one_head_error(keys: Keys, values: Values, query: Query, scale: float) -> Output:
    """A bound of |h(beta) - vbar - beta C q| for every output: beta^2 R_v R_s^2 / 8, with ranges R over the tokens.

    The second derivative of a mean under softmax is E[(v - Ev)(s - Es)^2], at most R_v times the variance of s.

    >>> k, v = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [1.0]])
    >>> one_head_error(k, v, torch.ones(1), 2.0).tolist()
    [2.0]
    """
    of_values, of_scores = _ranges(keys, values, query)
    return scale**2 * of_values * of_scores**2 / 8


def opposite_heads_error(keys: Keys, values: Values, query: Query, scale: float) -> Output:
    """A bound of the distance of two opposite heads from C q, for every output: beta^2 R_v R_s^3 / 12.

    Even orders cancel. The third derivative is E[(v - Ev)(s - Es)^3] - 3 Cov(v, s) Var(s), of which the first is at
    most R_v R_s^3 / 4 and the second at most 3/16 of that; a sixth of their sum is below a twelfth.

    >>> k, v = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [3.0]])
    >>> opposite_heads_error(k, v, torch.ones(1), 1.0).tolist()
    [2.0]
    """
    of_values, of_scores = _ranges(keys, values, query)
    return scale**2 * of_values * of_scores**3 / 12


def _ranges(keys: Keys, values: Values, query: Query) -> tuple[Output, Float[Tensor, ""]]:
    scores = keys @ query
    return values.amax(0) - values.amin(0), scores.max() - scores.min()
