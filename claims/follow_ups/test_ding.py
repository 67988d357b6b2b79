"""Ding et al. 2024: under a causal mask, layers of gradient descent end in online descent, not in least squares."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, ding
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import causal_descent, example_by_example
from icl_claims.theory import linear_self_attention as attention

from ..cases import SEEDS, normal

MANY_LAYERS = 60


@dataclass(frozen=True, eq=False)
class Prompt:
    """Demonstrations with inputs of lengths between .8 and 1, and queries."""

    inputs: Tensor
    targets: Tensor
    queries: Tensor

    def layers(self, rate: float, number: int) -> list[attention.LinearSelfAttention]:
        """Layers of one step from W0 = 0, each by the rate times the sum over demonstrations."""
        nothing = torch.zeros(self.targets.shape[1], self.inputs.shape[1], dtype=torch.float64)
        return [attention.construct(nothing, rate * len(self.inputs), len(self.inputs))] * number

    def answered(self, rate: float, number: int, *, causal: bool) -> Tensor:
        """The answers of a stack to the queries."""
        nothing = torch.zeros(self.targets.shape[1], self.inputs.shape[1], dtype=torch.float64)
        demonstrations = attention.demonstration_tokens(self.inputs, self.targets)
        read = example_by_example.causal_stack if causal else attention.stack
        tokens = read(self.layers(rate, number), demonstrations, attention.query_tokens(nothing, self.queries))
        return attention.answers(tokens, self.inputs.shape[1])

    def online(self) -> Tensor:
        """The answers after one epoch of torch's SGD on 1/2 |W x_j - y_j|^2, at the rate 1 / |x_j|^2."""
        weights = torch.nn.Parameter(torch.zeros(self.targets.shape[1], self.inputs.shape[1], dtype=torch.float64))
        for x, y in zip(self.inputs, self.targets, strict=True):
            weights.grad = None
            ((weights @ x - y).square().sum() / 2).backward()
            torch.optim.SGD([weights], lr=1 / float(x @ x)).step()
        return self.queries @ weights.detach().mT

    def least_squares(self) -> Tensor:
        """The answers of the shortest least-squares solution."""
        answers: Tensor = self.queries @ torch.linalg.pinv(self.inputs) @ self.targets
        return answers


@st.composite
def prompts(draw: st.DrawFn, *, least_demonstrations: int = 1, orthogonal: bool = False) -> Prompt:
    """Demonstrations in any directions, or in orthogonal ones."""
    inputs, outputs, seed = draw(st.integers(2, 4)), draw(st.integers(1, 2)), draw(SEEDS)
    demonstrations = draw(st.integers(least_demonstrations, inputs if orthogonal else 6))
    directions = normal(seed, demonstrations, inputs)
    if orthogonal:
        directions = torch.linalg.qr(directions.mT)[0].mT
    lengths = draw(st.lists(st.floats(0.8, 1.0), min_size=demonstrations, max_size=demonstrations))
    scaled = directions / directions.norm(dim=1, keepdim=True) * torch.tensor(lengths, dtype=torch.float64)[:, None]
    return Prompt(scaled, normal(seed + 1, demonstrations, outputs), normal(seed + 2, 2, inputs))


@ding.claim("causal-is-online", where="abstract, and the theory of stationary points", rule=IN_EVERY_CASE, on="exact")
def test_causal_layers_end_in_one_pass_of_online_descent(evidence: ExactEvidence, decide: Decide) -> None:
    """Stacked layers of gradient descent whose demonstrations see only themselves and those before end, at a linear
    rate, in one pass of online descent over the demonstrations in their order, with steps of 1/|x_j|^2, which is not
    least squares.
    """

    @given(prompts(), st.sampled_from([0.1, 0.5, 1.0, 3.0]), st.integers(0, 6))
    def every_layer_follows_the_triangle(case: Prompt, rate: float, layers: int) -> None:
        coefficients = causal_descent.coefficients_after(case.inputs, case.targets, rate=rate, layers=layers)
        answered = case.answered(rate, layers, causal=True)
        evidence.equal(answered, case.queries @ case.inputs.mT @ coefficients, f"answers after {layers} causal layers")

    @given(prompts())
    def many_layers_are_online_descent(case: Prompt) -> None:
        answered = case.answered(1.0, MANY_LAYERS, causal=True)
        limit = case.queries @ case.inputs.mT @ causal_descent.online_coefficients(case.inputs, case.targets)
        evidence.equal(limit, case.online(), "answers after an epoch of descent, one demonstration at a time")
        evidence.equal(answered, limit, f"answers after {MANY_LAYERS} causal layers")

    @given(prompts(least_demonstrations=2))
    def the_limit_is_not_least_squares(case: Prompt) -> None:
        limit = case.queries @ case.inputs.mT @ causal_descent.online_coefficients(case.inputs, case.targets)
        evidence.different(limit, case.least_squares(), "online descent and least squares")

    decide(
        evidence.every(every_layer_follows_the_triangle, many_layers_are_online_descent, the_limit_is_not_least_squares)
    )


@test_causal_layers_end_in_one_pass_of_online_descent.claim.needs(
    "demonstrations that overlap, for online descent not to be least squares"
)
def test_of_orthogonal_demonstrations_both_make_least_squares(evidence: ExactEvidence, decide: Decide) -> None:
    """Over orthogonal demonstrations the pass of online descent ends in least squares."""

    @given(prompts(orthogonal=True))
    def the_limit_is_least_squares(case: Prompt) -> None:
        evidence.equal(case.online(), case.least_squares(), "online descent and least squares")
        evidence.equal(case.answered(1.0, MANY_LAYERS, causal=True), case.least_squares(), "causal layers")

    decide(evidence.every(the_limit_is_least_squares))


@test_causal_layers_end_in_one_pass_of_online_descent.claim.needs("steps below 2/|x_j|^2 for every demonstration")
def test_longer_steps_do_not_end_anywhere(evidence: ExactEvidence, decide: Decide) -> None:
    """Beyond 2/|x_j|^2 the answers of causal layers grow with every layer."""

    @given(prompts(), st.floats(1.05, 1.5))
    def coefficients_grow(case: Prompt, beyond: float) -> None:
        rate = 2 * beyond / float(case.inputs.square().sum(1).max())
        few, many = (
            causal_descent.coefficients_after(case.inputs, case.targets, rate=rate, layers=layers).norm()
            for layers in (MANY_LAYERS, 2 * MANY_LAYERS)
        )
        evidence.check(bool(many > 100 * few), "coefficients grow a hundredfold")

    decide(evidence.every(coefficients_grow))


@ding.claim(
    "prefix-is-least-squares", where="abstract, and the theory of stationary points", rule=IN_EVERY_CASE, on="exact"
)
def test_layers_without_a_mask_end_in_least_squares(evidence: ExactEvidence, decide: Decide) -> None:
    """Stacked layers of gradient descent whose demonstrations all see each other end, at a linear rate, in the
    least-squares solution, which no order of the demonstrations changes.
    """

    @given(prompts(least_demonstrations=2))
    def the_error_falls_by_one_factor_a_layer(case: Prompt) -> None:
        eigenvalues = torch.linalg.eigvalsh(case.inputs @ case.inputs.mT).clamp(min=0)
        rate = 1 / float(eigenvalues[-1])
        least = float(eigenvalues[eigenvalues > 1e-9 * eigenvalues[-1]][0])
        scale = float(case.queries.norm() * case.targets.norm()) / least**0.5
        for layers in (5, 10, 20):
            wrong = case.answered(rate, layers, causal=False) - case.least_squares()
            allowed = scale * (1 - rate * least) ** layers
            evidence.check(bool(wrong.norm() <= allowed + 1e-12 * scale), f"the error after {layers} layers")

    @given(prompts(least_demonstrations=2))
    def no_order_changes_it(case: Prompt) -> None:
        order = torch.arange(len(case.inputs)).flip(0)
        reordered = Prompt(case.inputs[order], case.targets[order], case.queries)
        evidence.equal(reordered.answered(0.1, 10, causal=False), case.answered(0.1, 10, causal=False), "both orders")
        evidence.equal(reordered.least_squares(), case.least_squares(), "least squares of both orders")

    @given(prompts(least_demonstrations=2))
    def an_order_changes_what_causal_layers_end_in(case: Prompt) -> None:
        order = torch.arange(len(case.inputs)).flip(0)
        reordered = Prompt(case.inputs[order], case.targets[order], case.queries)
        evidence.different(reordered.online(), case.online(), "online descent in both orders")

    decide(
        evidence.every(
            the_error_falls_by_one_factor_a_layer, no_order_changes_it, an_order_changes_what_causal_layers_end_in
        )
    )
