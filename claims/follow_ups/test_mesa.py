"""Von Oswald et al. 2023 on mesa-optimization: a layer that solves ridge regression at every token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, mesa
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import mesa_layer

from ..cases import SEEDS, normal


@dataclass(frozen=True, eq=False)
class Sequence:
    """Keys, values and queries of a sequence, and a penalty."""

    keys: Tensor
    values: Tensor
    queries: Tensor
    penalty: float


@st.composite
def sequences(draw: st.DrawFn, *, least_tokens: int = 1) -> Sequence:
    """One to eight tokens, with more and fewer of them than the keys have entries."""
    width, outputs = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    tokens, seed = draw(st.integers(least_tokens, 8)), draw(SEEDS)
    penalty = draw(st.sampled_from([0.1, 1.0, 10.0]))
    return Sequence(
        normal(seed, tokens, width), normal(seed + 1, tokens, outputs), normal(seed + 2, tokens, width), penalty
    )


@mesa.claim("mesa-layer-is-ridge", where="the mesa-layer, as reported", rule=IN_EVERY_CASE, on="exact")
def test_every_token_is_answered_by_ridge_regression(evidence: ExactEvidence, decide: Decide) -> None:
    """A mesa-layer, which updates an inverse by the Sherman-Morrison formula at every token, answers each token's query
    by the ridge regression of values on keys over all tokens up to it.
    """

    @given(sequences())
    def answers_equal_least_squares_of_every_prefix(case: Sequence) -> None:
        answers = mesa_layer.mesa_attention(case.keys, case.values, case.queries, case.penalty)
        evidence.equal(answers, ridge_of_every_prefix(case), "answers of all tokens")

    decide(evidence.every(answers_equal_least_squares_of_every_prefix))


@test_every_token_is_answered_by_ridge_regression.claim.needs("an inverse that every token updates")
def test_with_the_first_inverse_it_is_a_gradient_step(evidence: ExactEvidence, decide: Decide) -> None:
    """With the inverse left at I / lambda it is linear attention, a gradient step with rate 1 / lambda from zero."""

    @given(sequences(least_tokens=2))
    def a_step_and_not_the_solution(case: Sequence) -> None:
        scores = (case.queries @ case.keys.T).tril() / case.penalty
        stepped = torch.stack([step_on_a_prefix(case, tokens) for tokens in range(1, len(case.keys) + 1)])
        evidence.equal(scores @ case.values, stepped, "linear attention, and a gradient step")
        evidence.different(scores @ case.values, ridge_of_every_prefix(case), "linear attention, and ridge regression")

    decide(evidence.every(a_step_and_not_the_solution))


def ridge_of_every_prefix(case: Sequence) -> Tensor:
    """Answers by least squares with the penalty as further examples, for every prefix from scratch."""
    width, outputs = case.keys.shape[1], case.values.shape[1]
    penalised = case.penalty**0.5 * torch.eye(width, dtype=torch.float64)
    nothing = torch.zeros(width, outputs, dtype=torch.float64)
    answers = []
    for tokens, query in enumerate(case.queries, start=1):
        inputs, targets = torch.cat([case.keys[:tokens], penalised]), torch.cat([case.values[:tokens], nothing])
        answers.append(query @ torch.linalg.lstsq(inputs, targets).solution)
    return torch.stack(answers)


def step_on_a_prefix(case: Sequence, tokens: int) -> Tensor:
    """The answer to the last query of a prefix after a step of torch's SGD on 1/2 sum |W k - v|^2 from W = 0."""
    weights = torch.nn.Parameter(torch.zeros(case.values.shape[1], case.keys.shape[1], dtype=torch.float64))
    loss = (case.keys[:tokens] @ weights.T - case.values[:tokens]).square().sum() / 2
    loss.backward()
    torch.optim.SGD([weights], lr=1 / case.penalty).step()
    return weights.detach() @ case.queries[tokens - 1]
