"""A linear self-attention layer, and the weights with which it takes a step of gradient descent.

Tokens are rows here, e_j = (x_j, y_j), so that a layer with keys K, queries Q and values V of the demonstrations adds
P V K^T q_j to every token. Squared loss throughout: L(W) = 1/(2N) sum_j |W x_j - y_j|^2.

Source: von Oswald et al. 2023, sections 2 and 3; "Understanding ...", section 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import acos, cos, pi

import torch
from jaxtyping import Float
from torch import Tensor

Square = Float[Tensor, "width width"]
Tokens = Float[Tensor, "*batch tokens width"]
DemonstrationTokens = Float[Tensor, "*batch demonstrations width"]


@dataclass(frozen=True)
class LinearSelfAttention:
    """One head without a softmax: the four matrices W_K, W_Q, W_V and P."""

    key: Tensor
    query: Tensor
    value: Tensor
    projection: Tensor


def attend_linearly(layer: LinearSelfAttention, demonstrations: DemonstrationTokens, tokens: Tokens) -> Tokens:
    """e_j + P V K^T q_j, with K = W_K E, V = W_V E of the demonstrations and q_j = W_Q e_j of each token.

    Source: von Oswald et al. 2023, section 2, the linear self-attention update.

    >>> layer = LinearSelfAttention(*[torch.eye(1)] * 4)
    >>> attend_linearly(layer, torch.tensor([[2.0]]), torch.tensor([[3.0]])).item()  # 3 + 2 * (2 * 3)
    15.0
    """
    asked = (tokens @ layer.query.mT) @ layer.key
    read = asked @ (demonstrations.mT @ demonstrations)  # E E^T, which no weight changes
    return tokens + read @ layer.value.mT @ layer.projection.mT


def stack(layers: Sequence[LinearSelfAttention], demonstrations: DemonstrationTokens, tokens: Tokens) -> Tokens:
    """Query tokens after several layers, in each of which demonstrations and queries read the same demonstrations.

    >>> layers = [LinearSelfAttention(*[torch.eye(1)] * 4)] * 2
    >>> stack(layers, torch.tensor([[2.0], [1.0]]), torch.tensor([[1.0]])).item()  # 1 * (1 + 5) * (1 + 180)
    1086.0
    """
    for layer in layers:
        demonstrations, tokens = (
            attend_linearly(layer, demonstrations, demonstrations),
            attend_linearly(layer, demonstrations, tokens),
        )
    return tokens


def demonstration_tokens(
    inputs: Float[Tensor, "*batch demonstrations inputs"], targets: Float[Tensor, "*batch demonstrations outputs"]
) -> DemonstrationTokens:
    """Tokens (x_j, y_j).

    >>> demonstration_tokens(torch.tensor([[1.0]]), torch.tensor([[2.0]])).tolist()
    [[1.0, 2.0]]
    """
    return torch.cat([inputs, targets], dim=-1)


def query_tokens(weights: Float[Tensor, "outputs inputs"], queries: Float[Tensor, "*batch queries inputs"]) -> Tokens:
    """Tokens (x, -W0 x): a query begins with minus the initial model's answer.

    >>> query_tokens(torch.tensor([[2.0]]), torch.tensor([[3.0]])).tolist()
    [[3.0, -6.0]]
    """
    return torch.cat([queries, -queries @ weights.mT], dim=-1)


def answers(tokens: Tokens, inputs: int) -> Float[Tensor, "*batch tokens outputs"]:
    """The answers in query tokens: minus their target part.

    Source: von Oswald et al. 2023, section 2, after proposition 1.

    >>> answers(torch.tensor([[3.0, -6.0]]), inputs=1).tolist()
    [[6.0]]
    """
    return -tokens[..., inputs:]


def construct(weights: Float[Tensor, "outputs inputs"], rate: float, demonstrations: int) -> LinearSelfAttention:
    """The layer that takes one gradient step from W0.

    W_K = W_Q = [[I, 0], [0, 0]], W_V = [[0, 0], [W0, -I]] and P = eta/N I.

    Source: von Oswald et al. 2023, proposition 1 and its proof.

    >>> layer = construct(torch.zeros(1, 1), rate=0.5, demonstrations=1)  # W = 0.5 * 2 * 1 after the step
    >>> answers(attend_linearly(layer, torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.0]])), inputs=1).item()
    3.0
    """
    outputs, inputs = weights.shape
    reads_inputs, writes_residuals = _blocks(weights)
    projection = rate / max(demonstrations, 1) * torch.eye(inputs + outputs).to(weights)
    return LinearSelfAttention(reads_inputs, reads_inputs, writes_residuals, projection)


def construct_plus_plus(
    weights: Float[Tensor, "outputs inputs"], rate: float, curvature: float, demonstrations: int
) -> LinearSelfAttention:
    """The layer of GD++: a gradient step, and at once x_j <- (I - gamma X X^T) x_j with the inputs as columns of X.

    Values keep their inputs, W_V = [[I, 0], [W0, -I]], and P = [[-gamma I, 0], [0, eta/N I]].

    Source: von Oswald et al. 2023, section 3, GD++, and the appendix on curvature correction.

    >>> layer, e = construct_plus_plus(torch.zeros(1, 1), 0.5, 0.25, demonstrations=1), torch.tensor([[1.0, 2.0]])
    >>> attend_linearly(layer, e, e).tolist()
    [[0.75, 1.0]]
    """
    outputs, inputs = weights.shape
    reads_inputs, writes_residuals = _blocks(weights)
    scales = [-curvature] * inputs + [rate / max(demonstrations, 1)] * outputs
    projection = torch.diag(weights.new_tensor(scales))
    return LinearSelfAttention(reads_inputs, reads_inputs, writes_residuals + reads_inputs, projection)


def corrected_spectrum(spectrum: Float[Tensor, " inputs"], curvature: float) -> Float[Tensor, " inputs"]:
    """Eigenvalues of X X^T after the correction: l - 2 gamma l^2 + gamma^2 l^3, for each eigenvalue l before it.

    Source: von Oswald et al. 2023, appendix on curvature correction.

    >>> corrected_spectrum(torch.tensor([1.0, 0.5]), curvature=0.5).tolist()
    [0.25, 0.28125]
    """
    return spectrum - 2 * curvature * spectrum**2 + curvature**2 * spectrum**3


def curvature_window(smallest: float, largest: float) -> float:
    """The strength below which GD++ lowers the condition number of every spectrum with these ends.

    l (1 - gamma l)^2 rises up to l = 1/(3 gamma) and falls to 0 at 1/gamma. With
    k = largest / smallest > 1, the bound is

        gamma largest = k / (k + 1) for k <= 2, where the two ends change places, and otherwise
        gamma largest = 2/3 (1 + cos((arccos(2/k - 1) - 2 pi) / 3)), where the peak is k times the image of the largest,

    and above it some spectrum with these ends gets worse. It is at least 1/3 and below 1.

    Source: worked out here from the spectrum in von Oswald et al. 2023, who say only that there is a window.

    >>> round(curvature_window(1.0, 2.0), 3)
    0.333
    """
    condition = largest / smallest
    if condition <= 2:
        return condition / (condition + 1) / largest
    return 2 / 3 * (1 + cos((acos(2 / condition - 1) - 2 * pi) / 3)) / largest


def products(layer: LinearSelfAttention) -> tuple[Square, Square]:
    """P W_V and W_K^T W_Q: the output of the layer depends on nothing else.

    Source: von Oswald et al. 2023, section 3, on comparing a trained layer with the construction.

    >>> layer = LinearSelfAttention(*(number * torch.eye(1) for number in (1.0, 2.0, 3.0, 4.0)))
    >>> [product.item() for product in products(layer)]
    [12.0, 2.0]
    """
    return layer.projection @ layer.value, layer.key.mT @ layer.query


def from_products(values: Square, scores: Square) -> LinearSelfAttention:
    """A layer with given products P W_V and W_K^T W_Q: W_K and P are identities.

    >>> [product.item() for product in products(from_products(12 * torch.eye(1), 2 * torch.eye(1)))]
    [12.0, 2.0]
    """
    identity = torch.eye(len(values)).to(values)
    return LinearSelfAttention(key=identity, query=scores, value=values, projection=identity)


def _blocks(weights: Float[Tensor, "outputs inputs"]) -> tuple[Square, Square]:
    outputs, inputs = weights.shape
    reads_inputs = torch.diag(weights.new_tensor([1.0] * inputs + [0.0] * outputs))
    residuals = torch.cat([weights, -torch.eye(outputs).to(weights)], dim=1)
    return reads_inputs, torch.nn.functional.pad(residuals, (0, 0, inputs, 0))
