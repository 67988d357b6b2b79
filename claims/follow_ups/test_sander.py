"""Sander et al. 2024: linear attention that learns how a sequence goes on while it reads it."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, Decide, sander
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import autoregression
from icl_claims.theory import linear_self_attention as attention

from ..cases import SEEDS, learning_rates, normal
from .strategies import Attention, attention_layers


@sander.claim("ar-step", where="abstract, augmented tokens", rule=IN_EVERY_CASE, on="exact")
def test_the_next_token_is_that_of_a_stepped_model(evidence: ExactEvidence, decide: Decide) -> None:
    """Over tokens that are augmented by their predecessor, a layer of causal linear attention says at every token s_t
    that W s_t comes next, for W after a gradient step from 0 on 1/2 sum |s_{i+1} - W s_i|^2 over the pairs up to t.
    """

    @given(st.integers(1, 5), st.integers(1, 8), SEEDS, learning_rates())
    def predictions_are_those_after_a_step(width: int, tokens: int, seed: int, rate: float) -> None:
        states = normal(seed, tokens, width)
        expected = torch.stack([stepped(states[: t + 1], rate) @ states[t] for t in range(tokens)])
        evidence.equal(autoregression.predictions(states, rate), expected, "predictions at every token")

    decide(evidence.every(predictions_are_those_after_a_step))


@test_the_next_token_is_that_of_a_stepped_model.claim.needs("tokens that are augmented by their predecessor")
def test_over_plain_tokens_no_layer_knows_what_followed_what(evidence: ExactEvidence, decide: Decide) -> None:
    """Over tokens s_t alone, a layer with any weights answers the same in whatever order the earlier ones came, which a
    step does not.
    """

    @given(attention_layers())
    def the_order_of_earlier_tokens(case: Attention) -> None:
        last = case.queries[:1]
        in_order, reordered = (
            torch.cat([states, last]) for states in (case.demonstrations, case.demonstrations[case.order])
        )
        one, other = (attention.attend_linearly(case.layers[0], states, last) for states in (in_order, reordered))
        evidence.equal(one, other, "the answer of a layer over plain tokens")
        one, other = (stepped(states, rate=1.0) @ last[0] for states in (in_order, reordered))
        evidence.different(one, other, "the prediction after a step")

    decide(evidence.every(the_order_of_earlier_tokens))


def stepped(states: Tensor, rate: float) -> Tensor:
    """W after a step of torch's SGD from 0 on the pairs of a sequence."""
    weights = torch.nn.Parameter(torch.zeros(states.shape[1], states.shape[1], dtype=torch.float64))
    ((states[1:] - states[:-1] @ weights.T).square().sum() / 2).backward()
    torch.optim.SGD([weights], lr=rate).step()
    return weights.detach()
