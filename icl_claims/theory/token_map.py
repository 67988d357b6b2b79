"""The one linear map that a stack of linear self-attention applies to all tokens of a prompt.

After l layers, x_j is M x_j + y_j u and y_j is a y_j - w^T x_j, with the same M, u, w and a for every token.

Source: Vladymyrov, von Oswald, Sandler and Ge 2024, theorem 4.1 and lemma 4.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory.linear_self_attention import DemonstrationTokens, LinearSelfAttention, products


@dataclass(frozen=True, eq=False)
class TokenMap:
    """x <- M x + y u and y <- a y - w^T x.

    Args:
        mixing: M, of shape (inputs, inputs).
        reading: u, of shape (inputs): how the target enters the inputs.
        weights: w, of shape (inputs): the linear model that the tokens hold.
        kept: a, of no dimensions: how much of the target is left.
    """

    mixing: Tensor
    reading: Tensor
    weights: Tensor
    kept: Tensor

    def __call__(self, tokens: Float[Tensor, "tokens width"]) -> Float[Tensor, "tokens width"]:
        """Where the map takes tokens (x, y)."""
        x, y = tokens[:, :-1], tokens[:, -1:]
        return torch.cat([x @ self.mixing.mT + y * self.reading, y * self.kept - x @ self.weights[:, None]], dim=1)


def after(layers: Sequence[LinearSelfAttention], demonstrations: DemonstrationTokens) -> TokenMap:
    """The map of several layers, from the moments of the demonstrations as they are before the first.

    With second moments S = sum x x^T, t = sum y x and r = sum y^2 of the tokens that a layer meets, its change of a
    token is V H Q: V = P W_V, Q = W_K^T W_Q, and H = [[S, t], [t^T, r]]. The moments of later layers follow from those
    of the first: S <- M S M^T + M t u^T + u t^T M^T + r u u^T, and likewise t and r.

    Source: Vladymyrov et al. 2024, lemma 4.3; its matrices worked out here, for layers with any weights.

    >>> from icl_claims.theory.linear_self_attention import from_products
    >>> layer = from_products(torch.diag(torch.tensor([0.0, -1.0])), torch.diag(torch.tensor([0.5, 0.0])))
    >>> after([layer], torch.tensor([[1.0, 2.0]])).weights.item()  # a step: y - 2 * 0.5 * x
    1.0
    """
    x, y = demonstrations[:, :-1], demonstrations[:, -1]
    inputs = x.shape[1]
    of_inputs, crossed, of_targets = x.mT @ x, y @ x, y @ y
    m, u = torch.eye(inputs).to(x), x.new_zeros(inputs)
    w, a = x.new_zeros(inputs), x.new_ones(())
    for layer in layers:
        tm, ut = m @ crossed, torch.outer(m @ crossed, u)
        s = m @ of_inputs @ m.mT + ut + ut.mT + of_targets * torch.outer(u, u)
        t = a * tm + a * of_targets * u - m @ of_inputs @ w - (w @ crossed) * u
        r = a**2 * of_targets - 2 * a * (w @ crossed) + w @ of_inputs @ w
        values, scores = products(layer)
        change = values @ _moments(s, t, r) @ scores
        from_x, from_y = change[:, :-1], change[:, -1]
        to_inputs = from_x @ m - torch.outer(from_y, w)
        from_target = from_x @ u + a * from_y
        m, w = m + to_inputs[:-1], w - to_inputs[-1]
        u, a = u + from_target[:-1], a + from_target[-1]
    return TokenMap(m, u, w, a)


def _moments(
    s: Float[Tensor, "inputs inputs"], t: Float[Tensor, " inputs"], r: Float[Tensor, ""]
) -> Float[Tensor, "inputs+1 inputs+1"]:
    return torch.cat([torch.cat([s, t[:, None]], 1), torch.cat([t, r[None]])[None]])
