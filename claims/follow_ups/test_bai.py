"""Bai et al. 2023: gradient descent by attention with ReLU scores."""

from __future__ import annotations

from hypothesis import given

from icl_claims.claims import IN_EVERY_CASE, Decide, bai
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import linear_self_attention as attention
from icl_claims.theory import relu_heads

from .strategies import Attention, Regression, attention_layers, regressions


@bai.claim("relu-heads-are-gd", where="constructions with ReLU attention, as reported", rule=IN_EVERY_CASE, on="exact")
def test_two_relu_heads_take_the_step(evidence: ExactEvidence, decide: Decide) -> None:
    """Two heads with ReLU scores of opposite sign, and values of opposite sign, take the gradient step of linear
    regression exactly, because relu(t) - relu(-t) = t.
    """

    @given(regressions())
    def answers_are_those_after_the_step(case: Regression) -> None:
        heads = relu_heads.construct(case.weights, case.rate, len(case.inputs))
        demonstrations = attention.demonstration_tokens(case.inputs, case.targets)
        queries = attention.query_tokens(case.weights, case.queries)
        answers = attention.answers(relu_heads.attend(heads, demonstrations, queries), case.inputs.shape[1])
        evidence.equal(answers, case.queries @ case.stepped([case.rate]).T, "the answer to a query")

    decide(evidence.every(answers_are_those_after_the_step))


@test_two_relu_heads_take_the_step.claim.needs("a second head")
def test_one_relu_head_of_any_weights_takes_no_step(evidence: ExactEvidence, decide: Decide) -> None:
    """With one ReLU head of any weights, a single demonstration changes the answer to x or that to -x, and not both; a
    gradient step changes both, by opposite amounts.
    """

    @given(attention_layers())
    def one_of_two_opposite_queries_is_left_alone(case: Attention) -> None:
        one, query = case.demonstrations[:1], case.queries[:1]
        changes = [relu_heads.attend(case.layers, one, token) - token for token in (query, -query)]
        left_alone = [bool((change == 0).all()) for change in changes]
        evidence.check(sum(left_alone) == 1, "exactly one of two opposite queries is changed")
        linear = [attention.attend_linearly(case.layers[0], one, token) - token for token in (query, -query)]
        evidence.equal(linear[0], -linear[1], "without a ReLU the two change by opposite amounts")

    decide(evidence.every(one_of_two_opposite_queries_is_left_alone))
