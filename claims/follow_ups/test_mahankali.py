"""Mahankali, Hashimoto and Ma 2024: the best layer for targets that are no linear function of the input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, mahankali
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import linear_self_attention as attention
from icl_claims.theory import nonlinear_targets, preconditioned_step

from ..cases import SEEDS, normal


@dataclass(frozen=True, eq=False)
class Targets:
    """Inputs, a target by its values at them, and how many examples a prompt has, with how much noise."""

    inputs: Tensor
    values: Tensor
    examples: int
    noise: float

    def prompts(self, functions: Tensor, inputs: Tensor | None = None) -> nonlinear_targets.Prompts:
        """All prompts of a family of functions, with these inputs in the place of the case's own if there are any."""
        at = self.inputs if inputs is None else inputs
        return nonlinear_targets.prompts(at, functions, examples=self.examples, noise=self.noise)

    def rate(self, functions: Tensor, inputs: Tensor | None = None) -> float:
        """The rate of the best step."""
        at = self.inputs if inputs is None else inputs
        return nonlinear_targets.best_rate(at, functions, examples=self.examples, noise=self.noise)


@st.composite
def targets(draw: st.DrawFn) -> Targets:
    """Any values at eight points, one or two examples, with noise or without."""
    at, values = nonlinear_targets.points(draw(st.floats(0.1, 0.6))), normal(draw(SEEDS), 8)
    return Targets(at, values, draw(st.integers(1, 2)), draw(st.sampled_from([0.0, 0.3, 1.0])))


@mahankali.claim(
    "nonlinear-targets-same-step",
    where="abstract, and the section on nonlinear targets, as reported",
    rule=IN_EVERY_CASE,
    on="exact",
)
def test_for_nonlinear_targets_the_best_layer_takes_the_same_step(evidence: ExactEvidence, decide: Decide) -> None:
    """Where targets are nonlinear functions of isotropic inputs, from a family that no turn of the inputs changes, the
    population loss of a layer of linear self-attention is critical at one plain step of gradient descent for linear
    least squares, and no other preconditioner does better; only the rate is another, E[u^T X^T y] / E|X^T y|^2.
    """

    @given(targets())
    def the_step_is_critical_in_all_weights_of_the_layer(case: Targets) -> None:
        functions = nonlinear_targets.family(case.values)
        layer = plain_step(case, case.rate(functions))
        evidence.equal(*two_halves(layer, case.prompts(functions)), "the two halves of the gradient")

    @given(targets(), SEEDS)
    def no_other_preconditioner_does_better(case: Targets, seed: int) -> None:
        functions = nonlinear_targets.family(case.values)
        prompts, rate = case.prompts(functions), case.rate(functions)
        best = loss(plain_step(case, rate), prompts)
        identity = torch.eye(2, dtype=torch.float64)
        for change in (0.1 * normal(seed, 2, 2), 0.01 * identity, -0.01 * identity):
            other = preconditioned_step.construct(case.examples * (rate * identity + change), case.examples)
            evidence.check(bool(loss(other, prompts) > best), "another preconditioner has a larger loss")

    decide(
        evidence.every(the_step_is_critical_in_all_weights_of_the_layer, no_other_preconditioner_does_better),
    )


@test_for_nonlinear_targets_the_best_layer_takes_the_same_step.claim.needs(
    "a family of targets that turns of the inputs leave as it is"
)
def test_for_one_target_the_best_step_is_another(evidence: ExactEvidence, decide: Decide) -> None:
    """For a single nonlinear function, or one that knows a direction, the plain step is not critical."""

    @given(targets())
    def the_step_is_not_critical(case: Targets) -> None:
        functions = case.values[None]
        layer = plain_step(case, case.rate(functions))
        evidence.different(*two_halves(layer, case.prompts(functions)), "the two halves of the gradient", by=1e-3)

    decide(evidence.every(the_step_is_not_critical))


@test_for_nonlinear_targets_the_best_layer_takes_the_same_step.claim.needs("isotropic inputs")
def test_for_stretched_inputs_the_best_step_is_preconditioned(evidence: ExactEvidence, decide: Decide) -> None:
    """For inputs of unequal variances the plain step is not critical."""

    @given(targets())
    def the_step_is_not_critical(case: Targets) -> None:
        functions, stretched = nonlinear_targets.family(case.values), case.inputs * torch.tensor([1.0, 3.0]).double()
        layer = plain_step(case, case.rate(functions, stretched))
        halves = two_halves(layer, case.prompts(functions, stretched))
        evidence.different(*halves, "the two halves of the gradient", by=1e-3)

    decide(evidence.every(the_step_is_not_critical))


def plain_step(case: Targets, rate: float) -> attention.LinearSelfAttention:
    """The layer that answers rate x^T X^T y."""
    return preconditioned_step.construct(case.examples * rate * torch.eye(2, dtype=torch.float64), case.examples)


def answers(layer: attention.LinearSelfAttention, prompts: nonlinear_targets.Prompts) -> Tensor:
    """The answer of the layer to each query."""
    shown = attention.demonstration_tokens(prompts.inputs, prompts.targets[..., None])
    asked = attention.query_tokens(prompts.inputs.new_zeros(1, 2), prompts.queries[:, None])
    return attention.answers(attention.attend_linearly(layer, shown, asked), 2)[:, 0, 0]


def loss(layer: attention.LinearSelfAttention, prompts: nonlinear_targets.Prompts) -> Tensor:
    """1/2 (answer - f(x))^2, the mean over prompts; the query's own noise adds a constant."""
    return (answers(layer, prompts) - prompts.answers).square().mean() / 2


def two_halves(layer: attention.LinearSelfAttention, prompts: nonlinear_targets.Prompts) -> tuple[Tensor, Tensor]:
    """Gradients, for all weights, of E answer^2 / 2 and of E answer f(x): equal where the loss is critical."""
    at = torch.stack(attention.products(layer)).requires_grad_()
    answered = answers(attention.from_products(*at), prompts)
    (own,) = torch.autograd.grad(answered.square().mean() / 2, at, retain_graph=True)
    (wanted,) = torch.autograd.grad((answered * prompts.answers).mean(), at)
    return own, wanted
