"""Section 6: what earlier work on linear attention has shown.

The section repeats a proposition of von Oswald et al.: weights of a linear self-attention layer exist with which its
forward pass is a step of gradient descent on squared loss. More about those weights is in
`claims/follow_ups/test_von_oswald.py`; here is the sentence as it stands, and two conditions that it leaves out.
"""

from __future__ import annotations

import torch
from hypothesis import given

from icl_claims.claims import IN_EVERY_CASE, Decide, revisited
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import linear_self_attention as attention

from ..follow_ups.strategies import Regression, regressions


@revisited.claim(
    "vonoswald-step", where="section 6, the proposition of von Oswald et al.", rule=IN_EVERY_CASE, on="exact"
)
def test_a_layer_moves_every_token_as_a_gradient_step_does(evidence: ExactEvidence, decide: Decide) -> None:
    """A layer of linear self-attention can have weights with which it changes the target part of every token, a query's
    included, just as one step of gradient descent on squared loss changes the model's answer to it.
    """

    @given(regressions())
    def token_minus_change_of_answer(case: Regression) -> None:
        layer = attention.construct(case.weights, case.rate, len(case.inputs))
        demonstrations = attention.demonstration_tokens(case.inputs, case.targets)
        queries = attention.query_tokens(case.weights, case.queries)
        change = case.stepped([case.rate]) - case.weights
        for tokens, inputs, what in (
            (demonstrations, case.inputs, "demonstrations become (x, y - dW x)"),
            (queries, case.queries, "queries become (x, y - dW x)"),
        ):
            expected = torch.cat([inputs, tokens[:, inputs.shape[1] :] - inputs @ change.T], dim=1)
            evidence.equal(attention.attend_linearly(layer, demonstrations, tokens), expected, what)

    decide(evidence.every(token_minus_change_of_answer))


@test_a_layer_moves_every_token_as_a_gradient_step_does.claim.needs("no softmax over the scores")
def test_with_a_softmax_the_same_weights_take_another_step(evidence: ExactEvidence, decide: Decide) -> None:
    """With a softmax the same weights give another update."""

    @given(regressions(least_demonstrations=2))
    def softmax_gives_another_update(case: Regression) -> None:
        layer = attention.construct(case.weights, case.rate, len(case.inputs))
        demonstrations = attention.demonstration_tokens(case.inputs, case.targets)
        linear = attention.attend_linearly(layer, demonstrations, demonstrations) - demonstrations
        scores = (demonstrations @ layer.query.T) @ (demonstrations @ layer.key.T).T
        softmax = scores.softmax(dim=-1) @ (demonstrations @ layer.value.T) @ layer.projection.T
        evidence.different(softmax, linear, "updates with and without a softmax")

    decide(evidence.every(softmax_gives_another_update))


@test_a_layer_moves_every_token_as_a_gradient_step_does.claim.needs("the query left out of the keys, unless W0 = 0")
def test_a_query_that_attends_to_itself_is_moved_too_far(evidence: ExactEvidence, decide: Decide) -> None:
    """A query among its own keys is moved further, unless W0 = 0."""

    def moved(case: Regression, weights: torch.Tensor, *, itself: bool) -> torch.Tensor:
        layer = attention.construct(weights, case.rate, len(case.inputs))
        demonstrations = attention.demonstration_tokens(case.inputs, case.targets)
        query = attention.query_tokens(weights, case.queries[:1])
        seen = torch.cat([demonstrations, query]) if itself else demonstrations
        return attention.attend_linearly(layer, seen, query) - query

    @given(regressions(least_demonstrations=1))
    def itself_among_the_keys(case: Regression) -> None:
        with_itself, without = (moved(case, case.weights, itself=itself) for itself in (True, False))
        evidence.different(with_itself, without, "the update of a query that attends to itself too")
        start = torch.zeros_like(case.weights)
        with_itself, without = (moved(case, start, itself=itself) for itself in (True, False))
        evidence.equal(with_itself, without, "the same where W0 = 0")

    decide(evidence.every(itself_among_the_keys))
