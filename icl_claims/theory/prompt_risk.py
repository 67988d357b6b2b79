"""The error of a trained layer of linear self-attention on prompts of any law: what it can never learn, and the rest.

Trained on prompts of N examples whose inputs have covariance L, the layer answers x^T G^-1 (1/M) sum_i y_i x_i to a
prompt of M examples, with G = (1 + 1/N) L + tr(L)/N I.

Source: Zhang, Frei and Bartlett 2024, theorems 4.1 and 4.2, equation 4.6.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Covariance = Float[Tensor, "inputs inputs"]


@dataclass(frozen=True, eq=False)
class FiniteLaw:
    """A joint law of an input and its target that has finitely many values.

    Args:
        inputs: values of x, of shape (atoms, inputs).
        targets: the value of y that comes with each, of shape (atoms).
        probabilities: of the atoms.
    """

    inputs: Tensor
    targets: Tensor
    probabilities: Tensor

    @property
    def covariance(self) -> Covariance:
        """L = E[x x^T], the moment about 0."""
        return (self.probabilities[:, None] * self.inputs).mT @ self.inputs


@dataclass(frozen=True)
class Risk:
    """The three parts of the squared error on a prompt; their sum is E(answer - y)^2.

    Args:
        least: the error of the best linear predictor.
        spread: what the examples of the prompt happen to be; it falls as 1/M.
        bias: what training on prompts of N examples leaves, however many the prompt has; it falls as 1/N^2.
    """

    least: float
    spread: float
    bias: float

    @property
    def total(self) -> float:
        """E(answer - y)^2."""
        return self.least + self.spread + self.bias


def metric_of_training(covariance: Covariance, demonstrations: int) -> Covariance:
    """G = (1 + 1/N) L + tr(L)/N I, the inverse of the preconditioner that training on prompts of N examples ends with.

    Source: Zhang, Frei and Bartlett 2024, theorem 4.1.

    >>> metric_of_training(torch.eye(2), 4).tolist()  # 1 + 1/4 + 2/4
    [[1.75, 0.0], [0.0, 1.75]]
    """
    identity = torch.eye(len(covariance)).to(covariance)
    return (1 + 1 / demonstrations) * covariance + covariance.trace() / demonstrations * identity


def risk(law: FiniteLaw, *, trained_on: int, shown: int) -> Risk:
    """The error of the layer trained on prompts of N examples, with inputs of the same covariance, on prompts of M.

        min_w E(w^T x - y)^2 + 1/M tr(Cov(x y) G^-2 L)
        + 1/N^2 (a^T G^-2 L^3 a + 2 tr(L) a^T G^-2 L^2 a + tr(L)^2 a^T G^-2 L a),  a = L^-1 E[x y]

    Args:
        law: of each example of the prompt and of its query.
        trained_on: N.
        shown: M.

    Source: Zhang, Frei and Bartlett 2024, theorem 4.2, equation 4.6.

    >>> law = FiniteLaw(torch.tensor([[1.0], [-1.0]]), torch.tensor([1.0, -1.0]), torch.tensor([0.5, 0.5]))
    >>> risk(law, trained_on=2, shown=1)  # G = 1 + 1/2 + 1/2, x y is 1, and the layer answers x / 2
    Risk(least=0.0, spread=0.0, bias=0.25)
    """
    covariance = law.covariance
    products = law.inputs * law.targets[:, None]
    mean = law.probabilities @ products
    best = torch.linalg.solve(covariance, mean)
    residuals = law.targets - law.inputs @ best
    spread_of_products = (law.probabilities[:, None] * (products - mean)).mT @ (products - mean)
    inverse = torch.linalg.inv(metric_of_training(covariance, trained_on))
    trace, weighed = covariance.trace(), inverse @ inverse @ covariance
    bias = best @ (weighed @ covariance @ covariance + 2 * trace * weighed @ covariance + trace**2 * weighed) @ best
    return Risk(
        least=float(law.probabilities @ residuals.square()),
        spread=float((spread_of_products @ weighed).trace()) / shown,
        bias=float(bias) / trained_on**2,
    )
