"""Fu et al. 2024: Newton's iteration for the inverse, which trained transformers are compared with, and what it is.

The identity with descent is classical and is not in the paper. It says what "second order" is about: with iterations of
this kind a layer takes many steps of the very descent that takes one step a layer otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, fu
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import newton_iteration as newton

from ..cases import SEEDS, normal

PARTS = st.sampled_from([0.05, 0.3, 1.0])
PRINTED = {1: [2, -4], 2: [4, -12, 16, -16]}


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """Inputs, targets, S = X^T X, and a rate below 2 over its largest eigenvalue."""

    inputs: Tensor
    targets: Tensor
    part: float

    @property
    def gram(self) -> Tensor:
        """X^T X."""
        return self.inputs.mT @ self.inputs

    @property
    def largest(self) -> float:
        """The largest eigenvalue of X^T X."""
        return float(torch.linalg.matrix_norm(self.inputs, 2)) ** 2

    def stepped(self, inputs: Tensor, rate: float, steps: int, momentum: float = 0.0) -> Tensor:
        """Weights after steps of torch's SGD on 1/2 |X w - y|^2 from 0, with these inputs for X."""
        weights = torch.nn.Parameter(torch.zeros(inputs.shape[1], dtype=torch.float64))
        optimizer = torch.optim.SGD([weights], lr=rate, momentum=momentum)
        for _ in range(steps):
            optimizer.zero_grad()
            ((inputs @ weights - self.targets).square().sum() / 2).backward()
            optimizer.step()
        return weights.detach()

    def by_newton(self, start: Tensor, iterations: int) -> Tensor:
        """M_k X^T y."""
        return newton.inverse(self.gram, start, iterations) @ (self.inputs.mT @ self.targets)


@st.composite
def least_squares(draw: st.DrawFn) -> LeastSquares:
    """Problems of any shape, those with fewer examples than inputs included."""
    inputs, examples, seed = draw(st.integers(1, 5)), draw(st.integers(1, 7)), draw(SEEDS)
    return LeastSquares(normal(seed, examples, inputs), normal(seed + 1, examples), draw(PARTS))


@fu.claim("newton-is-gd-squared", where="section 3.1", rule=IN_EVERY_CASE, on="exact")
def test_iterations_of_newton_are_powers_of_two_of_steps(evidence: ExactEvidence, decide: Decide) -> None:
    """Newton's iteration for the inverse, k times from M_0 = a I, gives the weights of exactly 2^k steps of gradient
    descent at the rate a; from M_0 = a S, as in the paper, those of 2^k steps preconditioned by S. "Second order" is
    about how many steps a layer takes, not about where they lead.
    """

    @given(least_squares(), st.integers(0, 6))
    def from_a_multiple_of_the_identity(case: LeastSquares, iterations: int) -> None:
        rate = case.part / case.largest
        found = case.by_newton(rate * torch.eye(case.inputs.shape[1], dtype=torch.float64), iterations)
        evidence.equal(found, case.stepped(case.inputs, rate, 2**iterations), "weights after 2^k steps")
        evidence.different(found, case.stepped(case.inputs, rate, 2**iterations - 1), "weights after one step fewer")

    @given(least_squares(), st.integers(0, 6))
    def from_a_multiple_of_the_matrix(case: LeastSquares, iterations: int) -> None:
        rate = case.part / case.largest**2
        eigenvalues, turn = torch.linalg.eigh(case.gram)
        root = turn * eigenvalues.clamp(min=0).sqrt() @ turn.mT
        # Plain descent on weights u, with w = S^(1/2) u, is descent on w preconditioned by S.
        preconditioned = root @ case.stepped(case.inputs @ root, rate, 2**iterations)
        evidence.equal(case.by_newton(rate * case.gram, iterations), preconditioned, "weights after 2^k steps by S")

    decide(evidence.every(from_a_multiple_of_the_identity, from_a_multiple_of_the_matrix))


@test_iterations_of_newton_are_powers_of_two_of_steps.claim.needs("descent without momentum")
def test_steps_with_momentum_are_no_iterations_of_newton(evidence: ExactEvidence, decide: Decide) -> None:
    """With momentum as many steps give other weights."""

    @given(least_squares(), st.integers(1, 4), st.sampled_from([0.1, 0.5]))
    def weights_differ(case: LeastSquares, iterations: int, momentum: float) -> None:
        rate = 0.3 / case.largest
        found = case.by_newton(rate * torch.eye(case.inputs.shape[1], dtype=torch.float64), iterations)
        stepped = case.stepped(case.inputs, rate, 2**iterations, momentum)
        evidence.different(found, stepped, "weights after 2^k steps with momentum")

    decide(evidence.every(weights_differ))


@fu.claim("newton-moments-as-printed", where="section 5, beside equation 10", rule=IN_EVERY_CASE, on="exact")
def test_moments_are_as_printed(evidence: ExactEvidence, decide: Decide) -> None:
    """From M_0 = a S, the first iteration gives 2 a S - 4 a^2 S^3, and the second 4 a S - 12 a^2 S^3 + 16 a^3 S^5 -
    16 a^4 S^7.
    """

    @given(least_squares(), st.sampled_from(sorted(PRINTED)))
    def iterate_is_the_printed_sum(case: LeastSquares, iterations: int) -> None:
        scale = case.part / case.largest**2
        found = newton.inverse(case.gram, scale * case.gram, iterations)
        evidence.equal(found, newton.odd_powers(case.gram, scale, PRINTED[iterations]), f"M_{iterations}")

    decide(evidence.every(iterate_is_the_printed_sum))


@fu.claim("newton-moments", where="section 5, equation 10, corrected", rule=IN_EVERY_CASE, on="exact")
def test_moments_are_binomial(evidence: ExactEvidence, decide: Decide) -> None:
    """From M_0 = a S, the first iteration gives 2 a S - a^2 S^3 and the second 4 a S - 6 a^2 S^3 + 4 a^3 S^5 - a^4 S^7:
    after k iterations the numbers are binomial coefficients of 2^k, and the highest power is 2^(k+1) - 1, where k steps
    of gradient descent reach the power k - 1.
    """

    @given(least_squares(), st.integers(0, 4))
    def iterate_is_the_sum(case: LeastSquares, iterations: int) -> None:
        scale = case.part / case.largest**2
        found = newton.inverse(case.gram, scale * case.gram, iterations)
        numbers = newton.coefficients(iterations)
        evidence.equal(found, newton.odd_powers(case.gram, scale, numbers), f"M_{iterations}")
        evidence.check(2 * len(numbers) - 1 == 2 ** (iterations + 1) - 1, "the highest power")

    @given(least_squares(), st.integers(1, 6))
    def steps_reach_the_power_below_their_number(case: LeastSquares, steps: int) -> None:
        rate = case.part / case.largest
        identity = torch.eye(case.inputs.shape[1], dtype=torch.float64)
        powers = [rate * torch.linalg.matrix_power(identity - rate * case.gram, power) for power in range(steps)]
        weights = torch.stack(powers).sum(0) @ (case.inputs.mT @ case.targets)
        evidence.equal(weights, case.stepped(case.inputs, rate, steps), "powers of S up to one below the steps")

    decide(evidence.every(iterate_is_the_sum, steps_reach_the_power_below_their_number))
