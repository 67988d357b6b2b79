"""Ahn et al. 2023: the best single layer of linear attention takes a preconditioned step, neither GD's nor Newton's.

Zhang, Frei and Bartlett 2024, theorem 4.1, have the same formula. Expectations are sums over a grid of nodes that are
exact for these polynomials, so that the closed form and the moments it rests on are not used twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, ahn
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import gaussian_quadrature
from icl_claims.theory import one_layer_optimum as optimum

from ..cases import SEEDS, normal

SHAPES = st.sampled_from([(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (2, 3), (3, 1)])


@dataclass(frozen=True, eq=False)
class Prompts:
    """A distribution, and weighted prompts over which sums are its expectations."""

    given: optimum.Distribution
    tokens: Tensor
    weights: Tensor
    mass: Tensor

    def loss(self, projection: Tensor, scores: Tensor) -> Tensor:
        """The expected loss of a layer."""
        return optimum.layer_loss(projection, scores, self.tokens, self.weights, self.mass, self.given.inputs)

    def loss_of(self, preconditioner: Tensor) -> Tensor:
        """The expected loss of a layer that takes the step with a preconditioner."""
        return self.loss(*layer_of(preconditioner))


def layer_of(preconditioner: Tensor) -> tuple[Tensor, Tensor]:
    """The last row of P W_V and the columns of W_K^T W_Q of a layer that takes one preconditioned step."""
    size = len(preconditioner)
    projection = torch.zeros(size + 1, dtype=torch.float64)
    projection[-1] = 1.0
    return projection, torch.nn.functional.pad(preconditioner, (0, 0, 0, 1))


def prompts_of(given: optimum.Distribution) -> Prompts:
    """Every combination of nodes for the inputs of the demonstrations, the task, and the noise if there is some."""
    size, shown = len(given.inputs), given.demonstrations
    noisy = shown if given.noise else 0
    points, mass = gaussian_quadrature.grid(size * (shown + 1) + noisy)
    x, w, noise = points.split([size * shown, size, noisy], dim=1)
    inputs = x.view(-1, shown, size) @ torch.linalg.cholesky(given.inputs).mT
    weights = w @ torch.linalg.cholesky(given.tasks).mT
    targets = torch.einsum("njd,nd->nj", inputs, weights) + (given.noise**0.5 * noise if noisy else 0.0)
    return Prompts(given, torch.cat([inputs, targets[..., None]], dim=-1), weights, mass)


def covariance(seed: int, size: int) -> Tensor:
    """A covariance with eigenvalues between about 1/4 and 4."""
    turn = torch.linalg.qr(normal(seed, size, size))[0]
    found: Tensor = turn * (4.0 ** torch.tanh(normal(seed + 1, size))) @ turn.mT
    return found


def curvature(loss_of: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient and the Hessian of a function of a vector."""
    return torch.func.grad(loss_of)(at), torch.func.jacrev(torch.func.grad(loss_of))(at)


@st.composite
def distributions(draw: st.DrawFn, *, least_inputs: int = 1) -> optimum.Distribution:
    """Inputs of any covariance, w ~ N(0, I), and targets without noise."""
    size, shown = draw(SHAPES.filter(lambda shape: shape[0] >= least_inputs))
    return optimum.Distribution(covariance(draw(SEEDS), size), torch.eye(size, dtype=torch.float64), shown)


@ahn.claim("one-layer-optimum", where="theorem 1", rule=IN_EVERY_CASE, on="exact")
def test_the_best_layer_takes_a_preconditioned_step(evidence: ExactEvidence, decide: Decide) -> None:
    """For inputs x ~ N(0, Sigma) and tasks w ~ N(0, I), of all preconditioned steps from W_0 = 0 the one with
    ((1 + 1/n) Sigma + tr(Sigma)/n I)^-1 has the least expected loss, and to second order no change of the layer's other
    weights lowers it. It is neither plain gradient descent nor Newton's step.
    """

    @given(distributions())
    def it_solves_the_normal_equations(case: optimum.Distribution) -> None:
        prompts, size = prompts_of(case), len(case.inputs)
        best = optimum.best_preconditioner(case)
        slope, second = curvature(lambda a: prompts.loss_of(a.view(size, size)), torch.zeros(size * size).double())
        evidence.equal(torch.linalg.solve(second, -slope).view(size, size), best, "the minimum of the expected loss")
        evidence.check(bool(torch.linalg.eigvalsh(second)[0] > 0), "the loss curves upwards everywhere")
        evidence.equal(
            prompts.loss_of(best), torch.tensor(optimum.least_loss(case), dtype=torch.float64), "the least loss"
        )

    @given(distributions().filter(lambda case: len(case.inputs) < 3))
    def no_direction_in_the_layer_lowers_the_loss(case: optimum.Distribution) -> None:
        prompts, size = prompts_of(case), len(case.inputs)
        projection, scores = layer_of(optimum.best_preconditioner(case))
        slope, second = curvature(
            lambda every: prompts.loss(every[: size + 1], every[size + 1 :].view(size + 1, size)),
            torch.cat([projection, scores.flatten()]),
        )
        eigenvalues = torch.linalg.eigvalsh(second)
        evidence.check(bool(slope.abs().max() <= 1e-9 * eigenvalues[-1]), "no slope in any weight of the layer")
        evidence.check(bool(eigenvalues[0] >= -1e-9 * eigenvalues[-1]), "no direction that curves downwards")

    @given(distributions(least_inputs=2))
    def plain_and_newton_steps_are_worse(case: optimum.Distribution) -> None:
        prompts, best = prompts_of(case), optimum.best_preconditioner(case)
        identity = torch.eye(len(best), dtype=torch.float64)
        for direction, name in ((identity, "plain descent"), (torch.linalg.inv(case.inputs), "Newton's step")):
            at_most = prompts.loss_of(best)
            lowest = lowest_along(prompts, direction)
            evidence.check(bool(lowest >= at_most * (1 - 1e-9)), f"{name} at its best rate has no less loss")
            evidence.different(lowest, at_most, f"the loss of {name} at its best rate")

    decide(
        evidence.every(
            it_solves_the_normal_equations, no_direction_in_the_layer_lowers_the_loss, plain_and_newton_steps_are_worse
        )
    )


def lowest_along(prompts: Prompts, direction: Tensor) -> Tensor:
    """The least loss of all multiples of a preconditioner."""
    slope, second = curvature(lambda c: prompts.loss_of(c[0] * direction), torch.zeros(1).double())
    return prompts.loss_of(-slope[0] / second[0, 0] * direction)


@test_the_best_layer_takes_a_preconditioned_step.claim.needs("tasks w ~ N(0, I), and targets without noise")
def test_other_tasks_and_noise_have_other_preconditioners(evidence: ExactEvidence, decide: Decide) -> None:
    """With w ~ N(0, Sigma^-1) and noise of variance s^2 the best preconditioner is Sigma^-1 / (1 + (d + 1 + s^2)/n): a
    multiple of Newton's step.
    """

    @given(SHAPES.filter(lambda shape: shape[0] * shape[1] < 5), SEEDS, st.sampled_from([0.0, 0.3, 2.0]))
    def it_is_a_multiple_of_newtons_step(shape: tuple[int, int], seed: int, noise: float) -> None:
        size, shown = shape
        inputs = covariance(seed, size)
        case = optimum.Distribution(inputs, torch.linalg.inv(inputs), shown, noise)
        prompts = prompts_of(case)
        slope, second = curvature(lambda a: prompts.loss_of(a.view(size, size)), torch.zeros(size * size).double())
        best = torch.linalg.solve(second, -slope).view(size, size)
        evidence.equal(best, torch.linalg.inv(inputs) / (1 + (size + 1 + noise) / shown), "a multiple of Sigma^-1")
        evidence.equal(best, optimum.best_preconditioner(case), "the general formula")
        plain = optimum.Distribution(inputs, torch.eye(size, dtype=torch.float64), shown)
        evidence.different(best, optimum.best_preconditioner(plain), "the formula for w ~ N(0, I) without noise")

    decide(evidence.every(it_is_a_multiple_of_newtons_step))


@ahn.claim(
    "baseline-lacks-a-demonstration",
    where="experiments with several layers; the published notebook variable_L_exp",
    rule=IN_EVERY_CASE,
    on="exact",
)
def test_a_baseline_with_one_demonstration_fewer_is_worse_by_a_known_factor(
    evidence: ExactEvidence, decide: Decide
) -> None:
    """For x and w ~ N(0, I) the least loss of one step on n demonstrations is d (d + 1) / (2 (n + d + 1)); a baseline
    that is given one demonstration fewer than the layer, as in the published notebook, has (n + d + 1) / (n + d) times
    that.
    """

    @given(st.sampled_from([(1, 2), (1, 3), (1, 5), (2, 2), (2, 3)]))
    def losses_have_this_ratio(shape: tuple[int, int]) -> None:
        size, shown = shape
        identity = torch.eye(size, dtype=torch.float64)
        all_of_them, one_fewer = (
            lowest_along(prompts_of(optimum.Distribution(identity, identity, number)), identity)
            for number in (shown, shown - 1)
        )
        expected = torch.tensor(size * (size + 1) / (2 * (shown + size + 1)), dtype=torch.float64)
        evidence.equal(all_of_them, expected, "the least loss")
        evidence.equal(one_fewer, all_of_them * (shown + size + 1) / (shown + size), "the loss with one fewer")
        known = (optimum.least_loss(optimum.Distribution(identity, identity, number)) for number in (shown, shown - 1))
        evidence.equal(
            torch.stack([all_of_them, one_fewer]), torch.tensor(list(known), dtype=torch.float64), "both closed forms"
        )

    decide(evidence.every(losses_have_this_ratio))
