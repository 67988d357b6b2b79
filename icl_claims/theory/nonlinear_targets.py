"""Regression in context on any function of the input, drawn from a family that no turn of the inputs changes.

Everything is finite, so that means are sums: the eight images of one point of the plane under signed permutations are
the inputs, a target is any function of them, turned by any of the eight, and noise is one of two opposite numbers.

Source: the setting of Mahankali, Hashimoto and Ma 2024 on nonlinear targets, as reported, made finite here.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory.invariant_tasks import signed_permutations


@dataclass(frozen=True, eq=False)
class Prompts:
    """All prompts of a family, each as likely as any other.

    Args:
        inputs: of the examples, of shape (prompts, examples, 2).
        targets: of the examples, of shape (prompts, examples).
        queries: of shape (prompts, 2).
        answers: the function's own value at the query, of shape (prompts).
    """

    inputs: Tensor
    targets: Tensor
    queries: Tensor
    answers: Tensor


def points(direction: float) -> Float[Tensor, "points 2"]:
    """The images of the point at an angle, in radians, with length sqrt(2): their mean is 0 and their covariance I.

    >>> at = points(0.3)
    >>> (at.mT @ at / len(at)).round(decimals=6).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    angle = torch.tensor(direction, dtype=torch.float64)
    return 2**0.5 * signed_permutations(2) @ torch.stack([angle.cos(), angle.sin()])


def family(values: Float[Tensor, " points"]) -> Float[Tensor, "functions points"]:
    """A function by its values at the points, and the same function of turned inputs: f(g^-1 x) for all g.

    >>> tuple(family(torch.arange(8.0).double()).shape)
    (8, 8)
    """
    turns, at = signed_permutations(2), points(0.3)
    turned_back = torch.einsum("gij,pi->gpj", turns, at)  # g^T = g^-1
    places = (turned_back[:, :, None] - at).square().sum(-1).argmin(-1)
    return values[places]


def prompts(
    at: Float[Tensor, "points 2"], functions: Float[Tensor, "functions points"], *, examples: int, noise: float
) -> Prompts:
    """Every prompt of so many examples: their inputs, their noise (plus or minus so much), a query and a function.

    >>> tuple(prompts(points(0.3), torch.zeros(8, 8).double(), examples=1, noise=0.1).inputs.shape)  # 8 * 2 * 8 * 8
    (1024, 1, 2)
    """
    sizes = [len(functions), len(at), *[len(at)] * examples, *[2] * examples]
    function, query, *rest = torch.cartesian_prod(*map(torch.arange, sizes)).unbind(1)
    shown, signs = torch.stack(rest[:examples], 1), torch.stack(rest[examples:], 1)
    targets = functions[function[:, None], shown] + noise * (2.0 * signs.to(functions) - 1)
    return Prompts(at[shown], targets, at[query], functions[function, query])


def best_rate(
    at: Float[Tensor, "points 2"], functions: Float[Tensor, "functions points"], *, examples: int, noise: float
) -> float:
    """E[u^T X^T y] / E|X^T y|^2, with u = E[f(x) x] the best linear fit of the target: the rate of the best step.

    In the mean over functions, with n examples, the numerator is n |u|^2, and E|X^T y|^2 is
    n E|x|^2 (f(x)^2 + noise^2) + n (n - 1) |u|^2.

    Source: Mahankali, Hashimoto and Ma 2024, as reported; that u may be the fit of the target, not only of the prompt,
    is the law of total expectation.

    >>> at = points(0.3)
    >>> round(best_rate(at, (at @ at.new_ones(2))[None], examples=1, noise=0.0), 3)  # |u|^2 = 2, |x y|^2 = 4
    0.5
    """
    fits = functions @ at / len(at)
    fit = fits.square().sum(-1).mean()
    square = (at.square().sum(-1) * (functions.square() + noise**2)).mean()
    return float(examples * fit / (examples * square + examples * (examples - 1) * fit))
