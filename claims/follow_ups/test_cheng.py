"""Cheng et al. 2024: attention whose scores are a kernel descends in the space of functions of that kernel."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, cheng
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import kernel_attention

from ..cases import SEEDS, learning_rates, normal

KERNELS = (
    kernel_attention.linear,
    kernel_attention.quadratic,
    kernel_attention.exponential,
    kernel_attention.gaussian,
)
INVERTIBLE = KERNELS[1:]  # for up to four inputs in two dimensions, as long as no two are equal


@dataclass(frozen=True, eq=False)
class Points:
    """Demonstrations x_j and y_j, and queries."""

    inputs: Tensor
    targets: Tensor
    queries: Tensor

    def scaled(self, residuals: Tensor) -> Tensor:
        """Residuals with the targets beside them: those that cancel are held against the size of the targets."""
        return torch.cat([residuals, self.targets])


@st.composite
def points(draw: st.DrawFn, *, least_demonstrations: int = 1, queries: int = 3) -> Points:
    """One to four demonstrations in two to four dimensions, with entries below 1.5."""
    inputs, demonstrations, seed = draw(st.integers(2, 4)), draw(st.integers(least_demonstrations, 4)), draw(SEEDS)
    inputs_of, asked = (1.5 * normal(seed + i, rows, inputs).tanh() for i, rows in ((0, demonstrations), (2, queries)))
    return Points(inputs_of, normal(seed + 1, demonstrations), asked)


@cheng.claim("functional-gd", where="proposition 1, as reported", rule=IN_EVERY_CASE, on="exact")
def test_layers_are_steps_in_the_space_of_functions(evidence: ExactEvidence, decide: Decide) -> None:
    """Layers of attention over tokens (x, y) whose scores are a kernel k(x_i, x_j), not normalised, change targets and
    answers as steps of functional gradient descent on squared error do, f <- f + r sum_j (y_j - f(x_j)) k(x_j, .).
    """

    @given(points(), st.sampled_from(KERNELS), st.lists(learning_rates(), max_size=4))
    def layers_equal_descent_on_features(case: Points, kernel: kernel_attention.Kernel, rates: list[float]) -> None:
        left, answers = kernel_attention.stack(kernel, case.inputs, case.targets, case.queries, rates)
        features, asked = features_of(kernel, case)
        weights = torch.nn.Parameter(torch.zeros(features.shape[1], dtype=torch.float64))
        for rate in rates:
            weights.grad = None
            ((case.targets - features @ weights).square().sum() / 2).backward()
            torch.optim.SGD([weights], lr=rate).step()
        evidence.equal(answers, asked @ weights, f"answers after {len(rates)} layers")
        residuals = case.targets - features @ weights
        evidence.equal(case.scaled(left), case.scaled(residuals), f"residuals after {len(rates)} layers")

    decide(evidence.every(layers_equal_descent_on_features))


@test_layers_are_steps_in_the_space_of_functions.claim.needs("scores that are not normalised over demonstrations")
def test_softmax_is_no_step_in_a_space_of_functions(evidence: ExactEvidence, decide: Decide) -> None:
    """What one demonstration takes from another's target is symmetric for a kernel, and for a softmax it is not."""

    @given(points(least_demonstrations=3), st.sampled_from(KERNELS))
    def only_a_kernel_is_symmetric(case: Points, kernel: kernel_attention.Kernel) -> None:
        def normalised(left: Tensor, right: Tensor) -> Tensor:
            return (left @ right.T).softmax(dim=1)

        taken, by_softmax = (taken_from_targets(scores, case) for scores in (kernel, normalised))
        evidence.equal(taken, taken.T, "what demonstrations take from each other by a kernel")
        evidence.different(by_softmax, by_softmax.T, "what they take by a softmax")

    decide(evidence.every(only_a_kernel_is_symmetric))


@cheng.claim("kernel-layers-converge", where="proposition 2, as reported", rule=IN_EVERY_CASE, on="exact")
def test_deep_stacks_approach_the_process(evidence: ExactEvidence, decide: Decide) -> None:
    """With more such layers, and a rate below 2 over the largest eigenvalue of K, answers approach the mean of the
    Gaussian process with that kernel, k(x, X) K^-1 y: an eigenvalue l leaves (1 - r l)^L of its part after L layers.
    """

    @given(points(), st.sampled_from(INVERTIBLE), st.floats(0.01, 0.99), st.integers(0, 40))
    def what_is_left_is_geometric(case: Points, kernel: kernel_attention.Kernel, part: float, layers: int) -> None:
        spectrum, directions = torch.linalg.eigh(kernel(case.inputs, case.inputs))
        rate = part * 2 / float(spectrum[-1])
        rates = [rate] * layers
        left, answers = kernel_attention.stack(kernel, case.inputs, case.targets, case.queries, rates)
        shares, parts = (1 - rate * spectrum) ** layers, directions.T @ case.targets
        evidence.equal(case.scaled(left), case.scaled(directions @ (shares * parts)), "what is left")
        shared = kernel(case.queries, case.inputs) @ directions
        missing = shared @ (shares * parts / spectrum)
        limit = kernel_attention.process_mean(kernel, case.inputs, case.targets, case.queries)
        evidence.equal(answers + missing, limit, "answers and what they miss", within=1e-6)

    decide(evidence.every(what_is_left_is_geometric))


@test_deep_stacks_approach_the_process.claim.needs("a rate below 2 over the largest eigenvalue")
def test_beyond_that_rate_layers_diverge(evidence: ExactEvidence, decide: Decide) -> None:
    """With a higher rate, what is left of the targets grows along the first eigenvector."""

    @given(points(), st.sampled_from(INVERTIBLE), st.floats(1.01, 3), st.integers(1, 40))
    def it_grows(case: Points, kernel: kernel_attention.Kernel, part: float, layers: int) -> None:
        spectrum, directions = torch.linalg.eigh(kernel(case.inputs, case.inputs))
        rates = [part * 2 / float(spectrum[-1])] * layers
        left, _ = kernel_attention.stack(kernel, case.inputs, case.targets, case.queries, rates)
        before, after = (float((directions[:, -1] @ targets).abs()) for targets in (case.targets, left))
        evidence.check(after > before, "the part along the first eigenvector grows")

    decide(evidence.every(it_grows))


@cheng.claim("matching-kernel-is-best", where="proposition 2, as reported", rule=IN_EVERY_CASE, on="exact")
def test_no_kernel_is_better_than_that_of_the_data(evidence: ExactEvidence, decide: Decide) -> None:
    """Where targets are drawn from a Gaussian process, the limit of layers with its kernel has the least expected
    squared error, the variance left given the demonstrations, and the limit of layers with another kernel a larger one.
    """

    @given(points(queries=1), st.sampled_from(list(permutations(INVERTIBLE, 2))))
    def the_right_kernel_has_the_least_error(
        case: Points, kernels: tuple[kernel_attention.Kernel, kernel_attention.Kernel]
    ) -> None:
        process, other = kernels
        together = torch.cat([case.queries, case.inputs])
        covariance = process(together, together)
        variance = covariance[0, 0]
        left = 1 / torch.linalg.inv(covariance)[0, 0]  # Var(f(x) | f(X)), from the precision of all values together
        least, mismatched = (
            kernel_attention.expected_error(process, kernel, case.inputs, case.queries) for kernel in (process, other)
        )
        evidence.equal(torch.stack([least, variance]), torch.stack([left, variance]), "the least error", within=1e-6)
        evidence.check(bool(mismatched >= least - 1e-6 * variance), "the error of another kernel is not smaller")
        evidence.different(mismatched, least, "the errors of two kernels")

    decide(evidence.every(the_right_kernel_has_the_least_error))


def features_of(kernel: kernel_attention.Kernel, case: Points) -> tuple[Tensor, Tensor]:
    """Features of demonstrations and queries whose inner products are the kernel: a root of the matrix of all."""
    together = torch.cat([case.inputs, case.queries])
    spectrum, directions = torch.linalg.eigh(kernel(together, together))
    features = directions * spectrum.clamp(min=0).sqrt()
    return features[: len(case.inputs)], features[len(case.inputs) :]


def taken_from_targets(scores: kernel_attention.Kernel, case: Points) -> Tensor:
    """How much of the target of demonstration j a layer takes from that of demonstration i."""
    units = torch.eye(len(case.inputs), dtype=torch.float64)
    left = [kernel_attention.stack(scores, case.inputs, unit, case.queries, [1.0])[0] for unit in units]
    return units - torch.stack(left, dim=1)
