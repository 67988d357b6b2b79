"""Zhang, Frei and Bartlett 2024: what a trained layer of linear self-attention does on prompts of another law.

The trained layer is the one that training ends with by the paper's theorem 4.1; nothing is trained here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, zhang
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import linear_self_attention as attention
from icl_claims.theory import preconditioned_step, prompt_risk

from ..cases import SEEDS, normal

SCALES = st.sampled_from([0.1, 0.5, 2.0, 3.0, 10.0])


@dataclass(frozen=True, eq=False)
class Noiseless:
    """A prompt with targets w^T x, at least as many examples as inputs, and the covariance that training had."""

    inputs: Tensor
    weights: Tensor
    queries: Tensor
    covariance: Tensor
    trained_on: int

    def answers(self, inputs: Tensor, queries: Tensor, *, layers: int = 1) -> Tensor:
        """What the trained layer, repeated if so asked, answers when the prompt has these inputs."""
        metric = prompt_risk.metric_of_training(self.covariance, self.trained_on)
        layer = preconditioned_step.construct(torch.linalg.inv(metric), len(inputs))
        shown = attention.demonstration_tokens(inputs, (inputs @ self.weights)[:, None])
        asked = attention.query_tokens(inputs.new_zeros(1, inputs.shape[1]), queries)
        return attention.answers(attention.stack([layer] * layers, shown, asked), inputs.shape[1])[:, 0]

    def least_squares(self, inputs: Tensor, queries: Tensor) -> Tensor:
        """What least squares answers."""
        solved: Tensor = torch.linalg.lstsq(inputs, (inputs @ self.weights)[:, None]).solution
        return (queries @ solved)[:, 0]


@st.composite
def noiseless_prompts(draw: st.DrawFn, *, isotropic: bool = False, fewest_inputs: int = 1) -> Noiseless:
    """One to four inputs, and up to three examples more."""
    size, seed = draw(st.integers(fewest_inputs, 4)), draw(SEEDS)
    examples = size + draw(st.integers(1, 3))
    spread = normal(seed + 3, size + 2, size)
    covariance = torch.eye(size, dtype=torch.float64) if isotropic else spread.mT @ spread / (size + 2)
    inputs, queries = normal(seed, examples, size), normal(seed + 2, 3, size)
    return Noiseless(inputs, normal(seed + 1, size), queries, covariance, draw(st.integers(1, 50)))


@zhang.claim("covariate-shift-squares", where="section 4.2, covariate shift", rule=IN_EVERY_CASE, on="exact")
def test_inputs_of_another_scale_are_answered_by_its_square_too_much(evidence: ExactEvidence, decide: Decide) -> None:
    """Where all inputs of a noiseless prompt are c times as large, the trained layer's answer, relative to the right
    one, is c^2 times as large, while least squares stays right; a query of any law is answered by one linear model.
    """

    @given(noiseless_prompts(), SCALES)
    def the_answer_grows_too_much(case: Noiseless, scale: float) -> None:
        before, right = case.answers(case.inputs, case.queries), case.queries @ case.weights
        after, right_after = case.answers(scale * case.inputs, scale * case.queries), scale * right
        evidence.equal(after * right, scale**2 * before * right_after, "answer over the right one, c^2 times as large")
        evidence.different(after * right, before * right_after, "answer over the right one, as large as before")

    @given(noiseless_prompts(), SCALES)
    def least_squares_stays_right(case: Noiseless, scale: float) -> None:
        answered = case.least_squares(scale * case.inputs, scale * case.queries)
        evidence.equal(answered, scale * case.queries @ case.weights, "least squares", within=1e-6)

    @given(noiseless_prompts(), SEEDS)
    def the_query_alone_may_change(case: Noiseless, seed: int) -> None:
        size = case.inputs.shape[1]
        model = case.answers(case.inputs, torch.eye(size, dtype=torch.float64))
        queries = 1 + 10 * normal(seed, 4, size)
        evidence.equal(case.answers(case.inputs, queries), queries @ model, "one linear model of the prompt")

    decide(evidence.every(the_answer_grows_too_much, least_squares_stays_right, the_query_alone_may_change))


@test_inputs_of_another_scale_are_answered_by_its_square_too_much.claim.needs("a single layer")
def test_two_layers_have_another_factor(evidence: ExactEvidence, decide: Decide) -> None:
    """With two such layers the factor is not c^2."""

    @given(noiseless_prompts(), SCALES)
    def the_factor_is_another(case: Noiseless, scale: float) -> None:
        before = case.answers(case.inputs, case.queries, layers=2)
        after = case.answers(scale * case.inputs, scale * case.queries, layers=2)
        evidence.different(after, scale**3 * before, "c^2 times as large beside the right answer")

    decide(evidence.every(the_factor_is_another))


@zhang.claim("orthogonal-query-zero", where="section 4.2, query shift, as reported", rule=IN_EVERY_CASE, on="exact")
def test_a_query_orthogonal_to_the_examples_is_answered_by_0(evidence: ExactEvidence, decide: Decide) -> None:
    """A query that is orthogonal to all inputs of the prompt is answered by 0, if inputs were isotropic in training."""

    @given(noiseless_prompts(isotropic=True, fewest_inputs=2))
    def the_answer_is_0(case: Noiseless) -> None:
        inputs, query = one_short(case)
        along = inputs[:1]
        answered = case.answers(inputs, torch.cat([along, query, along + query]))
        evidence.equal(answered[[0, 0]], torch.stack([answered[0] + answered[1], answered[2]]), "nothing beside it")

    decide(evidence.every(the_answer_is_0))


@test_a_query_orthogonal_to_the_examples_is_answered_by_0.claim.needs("isotropic inputs in training")
def test_the_metric_of_training_says_what_is_orthogonal(evidence: ExactEvidence, decide: Decide) -> None:
    """After training on inputs of any covariance, an orthogonal query is in general not answered by 0."""

    @given(noiseless_prompts(fewest_inputs=2))
    def the_answer_is_not_0(case: Noiseless) -> None:
        inputs, query = one_short(case)
        along = case.answers(inputs, inputs[:1])
        evidence.different(along + case.answers(inputs, query), along, "nothing beside it", by=1e-3)

    decide(evidence.every(the_answer_is_not_0))


def one_short(case: Noiseless) -> tuple[Tensor, Tensor]:
    """One example fewer than there are inputs, and a query of length 1 that is orthogonal to all of them."""
    inputs = case.inputs[: case.inputs.shape[1] - 1]
    return inputs, torch.linalg.svd(inputs).Vh[-1:]


# Theorem 4.2


@dataclass(frozen=True, eq=False)
class Shown:
    """A law of examples, how many a prompt has, and how many it had in training."""

    law: prompt_risk.FiniteLaw
    shown: int
    trained_on: int


@st.composite
def laws(draw: st.DrawFn) -> Shown:
    """Any law of three to five atoms with one or two inputs, and up to three examples in a prompt."""
    size, atoms, seed = draw(st.integers(1, 2)), draw(st.integers(3, 5)), draw(SEEDS)
    probabilities = normal(seed + 2, atoms).softmax(0)
    law = prompt_risk.FiniteLaw(normal(seed, atoms, size), normal(seed + 1, atoms), probabilities)
    return Shown(law, draw(st.integers(1, 3)), draw(st.integers(1, 20)))


@zhang.claim("zhang-risk", where="theorem 4.2, equation 4.6", rule=IN_EVERY_CASE, on="exact")
def test_the_error_on_a_new_prompt_has_three_parts(evidence: ExactEvidence, decide: Decide) -> None:
    """On a prompt of M examples of any law, the squared error of a layer trained on prompts of N is that of the best
    linear predictor, plus a part that falls as 1/M, plus one that falls as 1/N^2 and stays however long the prompt is.
    """

    @given(laws())
    def formula_equals_the_sum_over_all_prompts(case: Shown) -> None:
        formula = prompt_risk.risk(case.law, trained_on=case.trained_on, shown=case.shown)
        evidence.equal(formula.total, error_over_all_prompts(case), "the squared error")
        weights = best_linear_predictor(case.law)
        least = case.law.probabilities @ (case.law.inputs @ weights - case.law.targets).square()
        evidence.equal(formula.least, least, "the best linear predictor's")

    @given(laws(), st.integers(2, 1000))
    def a_longer_prompt_leaves_the_bias(case: Shown, times: int) -> None:
        short = prompt_risk.risk(case.law, trained_on=case.trained_on, shown=case.shown)
        long = prompt_risk.risk(case.law, trained_on=case.trained_on, shown=times * case.shown)
        evidence.equal(times * (long.total - short.least - short.bias), short.spread, "as 1/M", within=1e-6)
        evidence.check(long.total - long.least >= (1 - 1e-9) * short.bias > 0, "the bias stays")

    decide(evidence.every(formula_equals_the_sum_over_all_prompts, a_longer_prompt_leaves_the_bias))


def error_over_all_prompts(case: Shown) -> float:
    """The mean squared error of the layer over every prompt and query that there is, each with its probability."""
    law = case.law
    atoms = torch.cartesian_prod(*[torch.arange(len(law.targets))] * (case.shown + 1))
    shown, asked = atoms[:, :-1], atoms[:, -1]
    metric = prompt_risk.metric_of_training(law.covariance, case.trained_on)
    layer = preconditioned_step.construct(torch.linalg.inv(metric), case.shown)
    demonstrations = attention.demonstration_tokens(law.inputs[shown], law.targets[shown][..., None])
    queries = attention.query_tokens(law.inputs.new_zeros(1, law.inputs.shape[1]), law.inputs[asked][:, None])
    answers = attention.answers(attention.attend_linearly(layer, demonstrations, queries), law.inputs.shape[1])
    return float(law.probabilities[atoms].prod(1) @ (answers[:, 0, 0] - law.targets[asked]).square())


def best_linear_predictor(law: prompt_risk.FiniteLaw) -> Tensor:
    """Weighted least squares by scaling every atom with the root of its probability."""
    root = law.probabilities.sqrt()
    solved: Tensor = torch.linalg.lstsq(root[:, None] * law.inputs, (root * law.targets)[:, None]).solution
    return solved[:, 0]
