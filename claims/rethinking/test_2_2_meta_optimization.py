"""Section 2.2: what attention to demonstrations adds is a change of the weights that attention to the query has."""

from __future__ import annotations

import torch
from hypothesis import given
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, rethinking
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import dual_form as meta_optimization
from icl_claims.theory.dual_form import Head

from ..cases import Attended, attended_tokens


def attention_token_by_token(head: Head, tokens: Tensor, query: Tensor) -> Tensor:
    """Equation 3 as a loop: every token adds its value, times the product of its key with the query."""
    total = torch.zeros_like(query)
    for x in tokens:
        score = sum(float(k) * float(q) for k, q in zip(head.to_keys @ x, query, strict=True))
        total = total + score * (head.to_values @ x)
    return total


@rethinking.claim("icl-meta-gradient", where="section 2.2, equations 3 and 4", rule=IN_EVERY_CASE, on="exact")
def test_attention_to_demonstrations_updates_zero_shot_weights(evidence: ExactEvidence, decide: Decide) -> None:
    """In linear attention, demonstrations act as an update of the zero-shot weights: the sum of the outer products of
    their values, as meta-gradients, with their keys, as training examples.
    """

    @given(attended_tokens())
    def attention_is_updated_linear_layer(case: Attended) -> None:
        everything = torch.cat([case.demonstrations, case.tokens])
        literal = attention_token_by_token(case.head, everything, case.query)
        dual = meta_optimization.dual_form(case.head, case.demonstrations, case.tokens, case.query)
        evidence.equal(literal, dual, "attention to [X'; X] = (W_ZSL + dW_ICL) q")
        at_once = meta_optimization.linear_head(case.head, everything, case.query)
        evidence.equal(literal, at_once, "the loop over tokens = equation 3")

    @given(attended_tokens())
    def without_demonstrations_only_the_zero_shot_weights_are_left(case: Attended) -> None:
        literal = attention_token_by_token(case.head, case.tokens, case.query)
        zero_shot = meta_optimization.zero_shot_weights(case.head, case.tokens) @ case.query
        evidence.equal(literal, zero_shot, "attention to X alone = W_ZSL q")
        nothing = meta_optimization.dual_form(case.head, case.demonstrations[:0], case.tokens, case.query)
        evidence.equal(literal, nothing, "no demonstrations, no update")

    @given(attended_tokens(least_shown=2))
    def order_of_demonstrations_is_irrelevant(case: Attended) -> None:
        in_order = meta_optimization.dual_form(case.head, case.demonstrations, case.tokens, case.query)
        reversed_order = torch.cat([case.demonstrations.flip(0), case.tokens])
        literal = attention_token_by_token(case.head, reversed_order, case.query)
        evidence.equal(literal, in_order, "demonstrations in another order give the same")

    decide(
        evidence.every(
            attention_is_updated_linear_layer,
            without_demonstrations_only_the_zero_shot_weights_are_left,
            order_of_demonstrations_is_irrelevant,
        )
    )


@test_attention_to_demonstrations_updates_zero_shot_weights.claim.needs("linear attention")
def test_with_softmax_the_update_is_not_what_demonstrations_add(evidence: ExactEvidence, decide: Decide) -> None:
    """With softmax, demonstrations add something else than the update."""

    @given(attended_tokens(least_shown=1))
    def softmax_attention_is_not_the_updated_layer(case: Attended) -> None:
        everything = torch.cat([case.demonstrations, case.tokens])
        with_softmax = meta_optimization.softmax_head(case.head, everything, case.query)
        without = meta_optimization.softmax_head(case.head, case.tokens, case.query)
        update = meta_optimization.in_context_update(case.head, case.demonstrations) @ case.query
        evidence.different(with_softmax, without + update, "softmax attention is not (W_ZSL + dW_ICL) q")

    decide(evidence.every(softmax_attention_is_not_the_updated_layer))
