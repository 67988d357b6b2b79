"""Expected errors of answers to tasks of one input, by quadrature that is exact for polynomials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import special
from torch import Tensor

from icl_claims.theory import linear_self_attention as attention


@dataclass(frozen=True, eq=False)
class OneInput:
    """Nodes of w ~ N(b, 1) and of S = mean x_j^2 with x ~ N(0, 1), all pairs of them, with their probabilities.

    A query is x = 1: answers are linear in x, and x^2 is 1 on average.
    """

    demonstrations: int
    weights: Tensor
    squares: Tensor
    probabilities: Tensor

    def tokens(self) -> Tensor:
        """Demonstrations (x_j, w x_j), of shape (nodes, demonstrations, 2): all x_j alike, with the S of the node."""
        inputs = self.squares.sqrt()[:, None, None].expand(-1, self.demonstrations, 1)
        return attention.demonstration_tokens(inputs, self.weights[:, None, None] * inputs)

    def answers(self, layer: attention.LinearSelfAttention, guess: float = 0.0) -> Tensor:
        """What a layer answers at every node to the query token (1, -guess)."""
        query = attention.query_tokens(torch.tensor([[guess]], dtype=torch.float64), torch.ones(1, 1).double())
        read = attention.attend_linearly(layer, self.tokens(), query.expand(len(self.weights), 1, 2))
        return attention.answers(read, inputs=1)[:, 0, 0]

    def error(self, answers: Tensor) -> Tensor:
        """E (answer - w)^2."""
        return self.probabilities @ (answers - self.weights).square()

    def least_error(self, features: Tensor) -> Tensor:
        """The least error of answers that are linear in features, of shape (nodes, features): least squares."""
        root = self.probabilities.sqrt()[:, None]
        fitted = torch.linalg.lstsq(root * features, root * self.weights[:, None], driver="gelsd").solution
        return self.error((features @ fitted)[:, 0])

    def readable(self) -> Tensor:
        """All that a layer reads of demonstrations: S, w S and w^2 S, the entries of their second moments."""
        return torch.stack([self.squares * self.weights**power for power in range(3)], dim=1)


def one_input(mean: float, demonstrations: int) -> OneInput:
    """Gauss-Hermite nodes of w and Gauss-Laguerre nodes of S, n S being chi-squared with n degrees of freedom."""
    at, shares = special.roots_hermitenorm(6)
    halves, parts = special.roots_genlaguerre(4, demonstrations / 2 - 1)
    weights, squares = np.meshgrid(mean + at, 2 * halves / demonstrations, indexing="ij")
    probabilities = np.outer(shares / shares.sum(), parts / parts.sum())
    return OneInput(demonstrations, *(torch.as_tensor(each.ravel()) for each in (weights, squares, probabilities)))
