"""Sun et al. 2024: a layer that learns at test time by one batch step is linear attention."""

from __future__ import annotations

import torch
from hypothesis import given

from icl_claims.claims import IN_EVERY_CASE, Decide, sun
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import dual_form

from .strategies import Written, writings


@sun.claim("batch-step-is-linear-attention", where="theorem 1", rule=IN_EVERY_CASE, on="exact")
def test_one_batch_step_is_linear_attention(evidence: ExactEvidence, decide: Decide) -> None:
    """A linear layer that takes one gradient step of length 1/2 from W_0 = 0 on sum_i |W k_i - v_i|^2, with all
    gradients taken at W_0, answers a query as linear attention does.
    """

    @given(writings())
    def the_step_answers_as_attention_does(case: Written) -> None:
        stepped = case.squared_loss_steps(torch.zeros_like(case.start), steps=1)
        attended = dual_form.linear_attention(case.values, case.keys, case.query)
        evidence.equal(stepped @ case.query, attended, "the answer after the step")

    decide(evidence.every(the_step_answers_as_attention_does))


@test_one_batch_step_is_linear_attention.claim.needs("W_0 = 0")
def test_from_other_weights_the_step_is_not_attention(evidence: ExactEvidence, decide: Decide) -> None:
    """From other weights the step differs from them by more than linear attention."""

    @given(writings())
    def the_step_takes_from_the_weights(case: Written) -> None:
        stepped = case.squared_loss_steps(case.start, steps=1)
        attended = dual_form.linear_attention(case.values, case.keys, case.query)
        evidence.different((stepped - case.start) @ case.query, attended, "what the step adds to the answer")

    decide(evidence.every(the_step_takes_from_the_weights))


@test_one_batch_step_is_linear_attention.claim.needs("a single step, or gradients all taken at W_0")
def test_two_steps_are_not_attention_twice(evidence: ExactEvidence, decide: Decide) -> None:
    """Two steps answer otherwise than linear attention over the tokens shown twice, and so do steps token by token."""

    @given(writings(least_tokens=2))
    def a_second_step_sees_what_the_first_did(case: Written) -> None:
        attended = dual_form.linear_attention(case.values, case.keys, case.query)
        twice = case.squared_loss_steps(torch.zeros_like(case.start), steps=2)
        evidence.different(twice @ case.query, 2 * attended, "the answer after two steps")
        rates = torch.ones(len(case.keys), dtype=torch.float64)
        one_by_one = case.token_by_token(torch.zeros_like(case.start), rates)
        evidence.different(one_by_one @ case.query, attended, "the answer after steps token by token")

    decide(evidence.every(a_second_step_sees_what_the_first_did))
