"""Regression in context whose law no signed permutation of the whitened coordinates changes, as finitely many prompts.

Isotropic normal inputs and weights have this symmetry and more. It is all that the critical points of the population
loss owe their form to: what commutes with every signed permutation is a multiple of the identity.

Source: the assumption of Ahn et al. 2023, section 4 (x ~ N(0, S), w ~ N(0, S^-1)), made finite here.
"""

from collections.abc import Sequence
from itertools import permutations, product

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory import linear_self_attention as attention
from icl_claims.theory import preconditioned_step

SquareRoot = Float[Tensor, "inputs inputs"]
TurnedInputs = Float[Tensor, "turns tokens inputs"]
TurnedWeights = Float[Tensor, "turns inputs"]


def signed_permutations(size: int) -> Float[Tensor, "turns size size"]:
    """Every matrix that permutes coordinates and changes signs, in float64: 2^size size! of them.

    >>> tuple(signed_permutations(3).shape)
    (48, 3, 3)
    """
    identity = torch.eye(size, dtype=torch.float64)
    signs = torch.tensor(list(product((1.0, -1.0), repeat=size)), dtype=torch.float64)
    return torch.stack([sign[:, None] * identity[list(order)] for order in permutations(range(size)) for sign in signs])


def linear_tasks(
    root: SquareRoot, inputs: Float[Tensor, "tokens inputs"], weights: Float[Tensor, " inputs"]
) -> tuple[TurnedInputs, TurnedWeights]:
    """One prompt under all signed permutations g: inputs x_j = R g u_j and weights w = R^-1 g v.

    With u_j and v isotropic, x has the covariance S = R^2 and w its inverse.

    Args:
        root: R, symmetric.
        inputs: u_j, the last one of the query.
        weights: v.

    >>> inputs, weights = linear_tasks(2 * torch.eye(1).double(), torch.ones(1, 1).double(), torch.ones(1).double())
    >>> inputs.flatten().tolist(), weights.flatten().tolist()
    ([2.0, -2.0], [0.5, -0.5])
    """
    turns = signed_permutations(len(root))
    return inputs @ turns.mT @ root, (turns @ weights) @ torch.linalg.inv(root)


def population_loss(
    preconditioners: Sequence[SquareRoot],
    corrections: Sequence[SquareRoot],
    inputs: TurnedInputs,
    weights: TurnedWeights,
) -> Float[Tensor, ""]:
    """The mean of (answer - w^T x)^2 over prompts, of as many layers as there are preconditioners A_l.

    Args:
        preconditioners: A_l.
        corrections: B_l.
        inputs: of every prompt, the query's last.
        weights: of every prompt.

    Source: Ahn et al. 2023, section 2, the in-context loss.

    >>> one = torch.ones(1, 1)
    >>> population_loss([one], [0 * one], torch.tensor([[[2.0], [1.0]]]), torch.tensor([[1.0]])).item()  # (4 - 1)^2
    9.0
    """
    demonstrations, targets = inputs.shape[1] - 1, inputs @ weights[..., None]
    layers = [
        preconditioned_step.construct(preconditioner, demonstrations, correction)
        for preconditioner, correction in zip(preconditioners, corrections, strict=True)
    ]
    shown = attention.demonstration_tokens(inputs[:, :-1], targets[:, :-1])
    asked = attention.query_tokens(inputs.new_zeros(1, inputs.shape[-1]), inputs[:, -1:])
    answers = attention.answers(attention.stack(layers, shown, asked), inputs.shape[-1])
    return (answers - targets[:, -1:]).square().mean()
