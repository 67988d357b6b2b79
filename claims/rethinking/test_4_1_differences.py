"""Section 4.1: what separates the analysis from real models."""

from __future__ import annotations

import torch
from cases import attended_tokens
from hypothesis import given

from icl_claims.claims import IN_EVERY_CASE, Claim
from icl_claims.theory import meta_optimization

ICL_SOFTMAX_BREAKS = Claim(
    id="icl-softmax-breaks",
    paper="rethinking",
    where="section 4.1, difference 1",
    statement="The dual form of attention rests on linear attention: with softmax, demonstrations and query share one "
    "normaliser, and no update of the zero-shot weights gives the same output.",
    rule=IN_EVERY_CASE,
)


@ICL_SOFTMAX_BREAKS.decided_on("exact")
def test_demonstrations_add_to_linear_attention_but_not_to_softmax_attention(evidence, decide):
    @given(attended_tokens(least_shown=1))
    def linear_attention_is_a_sum_over_parts_and_linear_in_the_query(case):
        attend = meta_optimization.linear_head
        left = _attend_all(attend, case, case.query)
        parts = attend(case.head, case.demonstrations, case.query) + attend(case.head, case.tokens, case.query)
        evidence.equal(left, parts, "linear: attention to [X'; X] = attention to X' + attention to X")
        both = _attend_all(attend, case, case.query + case.other_query)
        evidence.equal(both, left + _attend_all(attend, case, case.other_query), "linear: additive in the query")

    @given(attended_tokens(least_shown=1))
    def softmax_attention_is_neither(case):
        attend = meta_optimization.softmax_head
        left = _attend_all(attend, case, case.query)
        parts = attend(case.head, case.demonstrations, case.query) + attend(case.head, case.tokens, case.query)
        evidence.different(left, parts, "softmax: the parts do not add up")
        added = [_added_by_demonstrations(attend, case, q) for q in (case.query, case.other_query)]
        both = _added_by_demonstrations(attend, case, case.query + case.other_query)
        evidence.different(both, added[0] + added[1], "softmax: what demonstrations add is no matrix times the query")

    @given(attended_tokens())
    def softmax_attention_is_a_mixture_of_the_parts(case):
        attend = meta_optimization.softmax_head
        everything = torch.cat([case.demonstrations, case.tokens])
        scores = (everything @ case.head.to_keys.T) @ case.query / len(case.query) ** 0.5
        shown = len(case.demonstrations)
        on_demonstrations = (scores[:shown].logsumexp(0) - scores.logsumexp(0)).exp() if shown else torch.tensor(0.0)
        from_query = (1 - on_demonstrations) * attend(case.head, case.tokens, case.query)
        from_demonstrations = on_demonstrations * attend(case.head, case.demonstrations, case.query)
        mixture = from_query + from_demonstrations
        evidence.equal(
            _attend_all(attend, case, case.query), mixture, "softmax: the weight of X shrinks by what X' takes"
        )

    decide(
        evidence.every(
            linear_attention_is_a_sum_over_parts_and_linear_in_the_query,
            softmax_attention_is_neither,
            softmax_attention_is_a_mixture_of_the_parts,
        )
    )


def _attend_all(attend, case, query):
    return attend(case.head, torch.cat([case.demonstrations, case.tokens]), query)


def _added_by_demonstrations(attend, case, query):
    return _attend_all(attend, case, query) - attend(case.head, case.tokens, query)
