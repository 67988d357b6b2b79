"""Section 2.2: what attention to demonstrations adds is a change of the weights that attention to the query has."""

from __future__ import annotations

import torch
from cases import attended_tokens
from hypothesis import given

from icl_claims.claims import IN_EVERY_CASE, Claim
from icl_claims.theory import meta_optimization

ICL_META_GRADIENT = Claim(
    id="icl-meta-gradient",
    paper="rethinking",
    where="section 2.2, equations 3 and 4",
    statement="In linear attention, demonstrations act as an update of the zero-shot weights: the sum of the outer "
    "products of their values, as meta-gradients, with their keys, as training examples.",
    rule=IN_EVERY_CASE,
)


def attention_token_by_token(head, tokens, query):
    """Equation 3 as a loop: every token adds its value, times the product of its key with the query."""
    total = torch.zeros_like(query)
    for x in tokens:
        score = sum(float(k) * float(q) for k, q in zip(head.to_keys @ x, query, strict=True))
        total = total + score * (head.to_values @ x)
    return total


@ICL_META_GRADIENT.decided_on("exact")
def test_attention_to_demonstrations_is_an_update_of_the_zero_shot_weights(evidence, decide):
    @given(attended_tokens())
    def attention_is_updated_linear_layer(case):
        everything = torch.cat([case.demonstrations, case.tokens])
        literal = attention_token_by_token(case.head, everything, case.query)
        dual = meta_optimization.dual_form(case.head, case.demonstrations, case.tokens, case.query)
        evidence.equal(literal, dual, "attention to [X'; X] = (W_ZSL + dW_ICL) q")
        at_once = meta_optimization.linear_head(case.head, everything, case.query)
        evidence.equal(literal, at_once, "the loop over tokens = equation 3")

    @given(attended_tokens())
    def without_demonstrations_only_the_zero_shot_weights_are_left(case):
        literal = attention_token_by_token(case.head, case.tokens, case.query)
        zero_shot = meta_optimization.zero_shot_weights(case.head, case.tokens) @ case.query
        evidence.equal(literal, zero_shot, "attention to X alone = W_ZSL q")
        nothing = meta_optimization.dual_form(case.head, case.demonstrations[:0], case.tokens, case.query)
        evidence.equal(literal, nothing, "no demonstrations, no update")

    @given(attended_tokens(least_shown=2))
    def order_of_demonstrations_is_irrelevant(case):
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


@ICL_META_GRADIENT.needs("linear attention")
def test_with_softmax_the_update_is_not_what_demonstrations_add(evidence, decide):
    @given(attended_tokens(least_shown=1))
    def softmax_attention_is_not_the_updated_layer(case):
        everything = torch.cat([case.demonstrations, case.tokens])
        with_softmax = meta_optimization.softmax_head(case.head, everything, case.query)
        without = meta_optimization.softmax_head(case.head, case.tokens, case.query)
        update = meta_optimization.in_context_update(case.head, case.demonstrations) @ case.query
        evidence.different(with_softmax, without + update, "softmax attention is not (W_ZSL + dW_ICL) q")

    decide(evidence.every(softmax_attention_is_not_the_updated_layer))
