"""Ren and Liu 2023: softmax attention as a linear model over features of the exponential kernel, after one step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, ren
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import softmax_dual

from ..cases import SEEDS, normal

DEGREE = 30  # (k_i q_i)^31 / 31! is below rounding where |k_i q_i| < 2.25


@dataclass(frozen=True, eq=False)
class Head:
    """Keys, values and two queries."""

    keys: Tensor
    values: Tensor
    queries: Tensor


@st.composite
def heads(draw: st.DrawFn) -> Head:
    """One to six demonstrations, keys and queries of width one or two with entries below 1.5."""
    width, demonstrations, outputs = (draw(st.integers(1, most)) for most in (2, 6, 3))
    seed = draw(SEEDS)
    keys, queries = (1.5 * normal(seed + i, rows, width).tanh() for i, rows in ((0, demonstrations), (1, 2)))
    return Head(keys, normal(seed + 2, demonstrations, outputs), queries)


@ren.claim("softmax-dual-model", where="abstract; the loss as reported", rule=IN_EVERY_CASE, on="exact")
def test_softmax_attention_is_the_answer_of_a_dual_model(evidence: ExactEvidence, decide: Decide) -> None:
    """Softmax attention answers a query as a linear model over features of the exponential kernel does, W phi(q), after
    one gradient step from W = 0 on -1/D sum_j <v_j, W phi(k_j)>, where D is the softmax's denominator for that query.
    """

    @given(heads())
    def attention_equals_the_dual_model(case: Head) -> None:
        query = case.queries[0]
        answer = dual_answer(case, query, softmax_dual.denominator(case.keys, query))
        evidence.equal(answer, attention(case)[0], "the answer to a query")

    decide(evidence.every(attention_equals_the_dual_model))


@test_softmax_attention_is_the_answer_of_a_dual_model.claim.needs("a step of its own for every query")
def test_one_step_does_not_serve_two_queries(evidence: ExactEvidence, decide: Decide) -> None:
    """The step that serves one query answers another wrong, by the ratio of their denominators."""

    @given(heads())
    def another_query_needs_another_step(case: Head) -> None:
        own, other = (softmax_dual.denominator(case.keys, query) for query in case.queries)
        answer, expected = dual_answer(case, case.queries[1], own), attention(case)[1]
        evidence.equal(answer, expected * other / own, "the answer, and the ratio of denominators")
        evidence.different(answer, expected, "the answer of another query's step")

    decide(evidence.every(another_query_needs_another_step))


def dual_answer(case: Head, query: Tensor, denominator: Tensor) -> Tensor:
    """The dual model's answer after a step of torch's SGD with rate 1."""
    features = softmax_dual.exponential_features(case.keys, DEGREE)
    weights = torch.nn.Parameter(torch.zeros(case.values.shape[1], features.shape[1], dtype=torch.float64))
    softmax_dual.dual_loss(weights, features, case.values, denominator).backward()
    torch.optim.SGD([weights], lr=1.0).step()
    return (softmax_dual.exponential_features(query[None], DEGREE) @ weights.detach().T)[0]


def attention(case: Head) -> Tensor:
    """Softmax attention as torch computes it, without a factor on the scores."""
    attended = torch.nn.functional.scaled_dot_product_attention(
        case.queries[None], case.keys[None], case.values[None], scale=1.0
    )
    return attended[0]
