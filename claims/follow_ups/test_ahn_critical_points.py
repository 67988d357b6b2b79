"""Ahn et al. 2023: critical points of the loss of several layers of linear self-attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, ahn
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import invariant_tasks

from ..cases import SEEDS, normal


@dataclass(frozen=True, eq=False)
class Family:
    """Layers with A_l = a_l S^-1 and B_l = b_l I, and one prompt in whitened coordinates.

    Args:
        steps: a_l.
        curvatures: b_l.
        root: R, with S = R^2.
        inputs: u_j of examples and query.
        weights: v.
    """

    steps: list[float]
    curvatures: list[float]
    root: Tensor
    inputs: Tensor
    weights: Tensor


@st.composite
def families(draw: st.DrawFn, *, unequal: bool = False) -> Family:
    """One to three layers, two or three inputs, two to four examples; an unequal covariance has no eigenvalue twice."""
    layers, size, examples = draw(st.integers(1, 3)), draw(st.integers(2, 3)), draw(st.integers(2, 4))
    seed = draw(SEEDS)
    steps, curvatures = (
        draw(st.lists(st.floats(-most, most), min_size=layers, max_size=layers)) for most in (1.0, 0.3)
    )
    rotation = torch.linalg.qr(normal(seed + 2, size, size))[0]
    stretch = torch.tensor([0.5, 1.0, 2.0][:size]).double() if unequal else normal(seed + 3, size).exp()
    return Family(
        steps, curvatures, rotation * stretch @ rotation.mT, normal(seed, examples + 1, size), normal(seed + 1, size)
    )


@ahn.claim("critical-points-are-newton-like", where="theorems 3 and 4", rule=IN_EVERY_CASE, on="exact")
def test_within_the_family_the_gradient_points_along_it(evidence: ExactEvidence, decide: Decide) -> None:
    """Where every layer has A_l = a_l S^-1 and B_l = b_l I, the gradient of the population loss is, in coordinates in
    which inputs are white, a multiple of the identity for each of them: a point that is critical within the family,
    preconditioned gradient descent or GD++, is critical among all layers.
    """

    @given(families())
    def gradients_are_multiples_of_the_identity(case: Family) -> None:
        inputs, weights = invariant_tasks.linear_tasks(case.root, case.inputs, case.weights)
        for gradient in whitened_gradients(case, inputs, weights):
            identity = torch.eye(len(gradient), dtype=torch.float64)
            evidence.equal(gradient, gradient.trace() / len(gradient) * identity, "a multiple of the identity")

    @given(families())
    def the_best_single_step_of_the_family_is_critical(case: Family) -> None:
        inputs, weights = invariant_tasks.linear_tasks(case.root, case.inputs, case.weights)
        nothing, step = (Family([a], [0.0], case.root, case.inputs, case.weights) for a in (0.0, best_step(case)))
        (at_first, _), (at_best, _) = (whitened_gradients(one, inputs, weights) for one in (nothing, step))
        evidence.equal(at_first + at_best, at_first, "nothing beside the gradient of no step")

    decide(evidence.every(gradients_are_multiples_of_the_identity, the_best_single_step_of_the_family_is_critical))


@test_within_the_family_the_gradient_points_along_it.claim.needs("a law that favours no direction of whitened inputs")
def test_of_one_prompt_the_gradient_points_elsewhere(evidence: ExactEvidence, decide: Decide) -> None:
    """Of a single prompt the gradient is no multiple of the identity."""

    @given(families())
    def the_gradient_leaves_the_family(case: Family) -> None:
        inputs, weights = (case.inputs @ case.root)[None], torch.linalg.solve(case.root, case.weights)[None]
        leaves_the_family(evidence, case, inputs, weights)

    decide(evidence.every(the_gradient_leaves_the_family))


@test_within_the_family_the_gradient_points_along_it.claim.needs("weights with the inverse covariance of the inputs")
def test_with_isotropic_weights_the_gradient_points_elsewhere(evidence: ExactEvidence, decide: Decide) -> None:
    """With w ~ N(0, I) and inputs of any other covariance, the gradient is no multiple of the identity."""

    @given(families(unequal=True))
    def the_gradient_leaves_the_family(case: Family) -> None:
        inputs, weights = invariant_tasks.linear_tasks(case.root, case.inputs, case.weights)
        leaves_the_family(evidence, case, inputs, weights @ case.root)

    decide(evidence.every(the_gradient_leaves_the_family))


def leaves_the_family(evidence: ExactEvidence, case: Family, inputs: Tensor, weights: Tensor) -> None:
    """The gradient of the first preconditioner is no multiple of the identity."""
    gradient = whitened_gradients(case, inputs, weights)[0]
    identity = torch.eye(len(gradient), dtype=torch.float64)
    evidence.different(gradient, gradient.trace() / len(gradient) * identity, "a multiple of the identity", by=1e-3)


def best_step(case: Family) -> float:
    """The a with the least loss of one layer, which is quadratic in a."""
    inputs, weights = invariant_tasks.linear_tasks(case.root, case.inputs, case.weights)
    a = torch.zeros((), dtype=torch.float64, requires_grad=True)
    of_one = loss([a * torch.eye(len(case.root), dtype=torch.float64)], [0.0], case.root, inputs, weights)
    (slope,) = torch.autograd.grad(of_one, a, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, a)
    return float(-slope.detach() / curvature)


def loss(
    steps: Sequence[float | Tensor], curvatures: Sequence[float | Tensor], root: Tensor, inputs: Tensor, w: Tensor
) -> Tensor:
    """The population loss at A_l = R^-1 a_l R^-1 and B_l = R b_l R^-1, with numbers or matrices a_l and b_l."""
    inverse, identity = torch.linalg.inv(root), torch.eye(len(root), dtype=torch.float64)
    preconditioners = [inverse @ (a * identity if isinstance(a, float) else a) @ inverse for a in steps]
    corrections = [root @ (b * identity if isinstance(b, float) else b) @ inverse for b in curvatures]
    return invariant_tasks.population_loss(preconditioners, corrections, inputs, w)


def whitened_gradients(case: Family, inputs: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
    """Gradients for R A_l R and R^-1 B_l R at the family's point, first those of all A_l."""
    identity = torch.eye(len(case.root), dtype=torch.float64)
    at = [(number * identity).requires_grad_() for number in (*case.steps, *case.curvatures)]
    layers = len(case.steps)
    return torch.autograd.grad(loss(at[:layers], at[layers:], case.root, inputs, weights), at)
