"""Section 4.1: what separates the analysis from real models."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from hypothesis import given
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, rethinking
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import dual_form as meta_optimization
from icl_claims.theory.dual_form import Head

from ..cases import Attended, attended_tokens

Attend: TypeAlias = Callable[[Head, Tensor, Tensor], Tensor]


@rethinking.claim("icl-softmax-breaks", where="section 4.1, difference 1", rule=IN_EVERY_CASE, on="exact")
def test_demonstrations_add_to_linear_attention_only(evidence: ExactEvidence, decide: Decide) -> None:
    """The dual form of attention rests on linear attention: with softmax, demonstrations and query share one
    normaliser, and no update of the zero-shot weights gives the same output.
    """

    @given(attended_tokens(least_shown=1))
    def linear_attention_is_a_sum_over_parts_and_linear_in_the_query(case: Attended) -> None:
        attend = meta_optimization.linear_head
        left = _attend_all(attend, case, case.query)
        parts = attend(case.head, case.demonstrations, case.query) + attend(case.head, case.tokens, case.query)
        evidence.equal(left, parts, "linear: attention to [X'; X] = attention to X' + attention to X")
        both = _attend_all(attend, case, case.query + case.other_query)
        evidence.equal(both, left + _attend_all(attend, case, case.other_query), "linear: additive in the query")

    @given(attended_tokens(least_shown=1))
    def softmax_attention_is_neither(case: Attended) -> None:
        attend = meta_optimization.softmax_head
        left = _attend_all(attend, case, case.query)
        parts = attend(case.head, case.demonstrations, case.query) + attend(case.head, case.tokens, case.query)
        evidence.different(left, parts, "softmax: the parts do not add up")
        added = [_added_by_demonstrations(attend, case, q) for q in (case.query, case.other_query)]
        both = _added_by_demonstrations(attend, case, case.query + case.other_query)
        evidence.different(both, added[0] + added[1], "softmax: what demonstrations add is no matrix times the query")

    @given(attended_tokens())
    def softmax_attention_is_a_mixture_of_the_parts(case: Attended) -> None:
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


def _attend_all(attend: Attend, case: Attended, query: Tensor) -> Tensor:
    return attend(case.head, torch.cat([case.demonstrations, case.tokens]), query)


def _added_by_demonstrations(attend: Attend, case: Attended, query: Tensor) -> Tensor:
    return _attend_all(attend, case, query) - attend(case.head, case.tokens, query)
