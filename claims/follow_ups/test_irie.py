"""Irie et al. 2022: a trained linear layer is its initial self plus attention over its whole training.

It goes beyond section 2.1 of "Rethinking ..." in that the number of steps is free: every step adds error signals and
inputs of its own, as they were then. What an optimiser may do to them is the condition.
"""

from __future__ import annotations

from functools import partial

import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import IN_EVERY_CASE, Decide, irie
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import dual_form

from ..cases import SEEDS, Loss, losses, normal
from .strategies import INNER, train_inside_a_network

RATES = st.lists(st.floats(1e-4, 0.3), max_size=8)
MOMENTA = st.sampled_from([0.0, 0.5, 0.9, 0.99])


@irie.claim(
    "t-step-dual-form",
    where="the dual form of a linear layer trained by gradient descent",
    rule=IN_EVERY_CASE,
    on="exact",
)
def test_the_trained_layer_attends_to_its_training(evidence: ExactEvidence, decide: Decide) -> None:
    """After any number of steps, whatever the loss and the network around it, a linear layer gives what it gave at
    first plus unnormalised attention over the inputs and error signals of all steps.
    """

    @given(losses(), SEEDS, RATES, st.integers(1, 3), MOMENTA, st.booleans())
    def layer_equals_attention(
        loss: Loss, seed: int, rates: list[float], batch: int, momentum: float, nesterov: bool
    ) -> None:
        nesterov = nesterov and momentum > 0
        sgd = partial(torch.optim.SGD, momentum=momentum, nesterov=nesterov)
        history = train_inside_a_network(loss, seed, rates, batch, sgd)
        coefficients = dual_form.coefficients(rates, momentum, nesterov=nesterov).repeat_interleave(batch)
        query = normal(seed + 100, 2, INNER)
        attention = dual_form.attend_over_history(history.initial, history.errors, history.inputs, coefficients, query)
        evidence.equal(history.final(query), attention, "the answer of the trained layer")

    decide(evidence.every(layer_equals_attention))


@test_the_trained_layer_attends_to_its_training.claim.needs("no weight decay")
def test_weight_decay_takes_from_the_initial_weights(evidence: ExactEvidence, decide: Decide) -> None:
    """With weight decay the trained layer is not its initial self plus attention."""

    @given(losses(), SEEDS, st.lists(st.floats(0.01, 0.3), min_size=1, max_size=8))
    def layer_is_not_attention(loss: Loss, seed: int, rates: list[float]) -> None:
        history = train_inside_a_network(loss, seed, rates, 1, partial(torch.optim.SGD, weight_decay=0.1))
        query = normal(seed + 100, 2, INNER)
        attention = dual_form.attend_over_history(
            history.initial, history.errors, history.inputs, dual_form.coefficients(rates), query
        )
        evidence.different(history.final(query), attention, "the answer of the layer trained with weight decay")

    decide(evidence.every(layer_is_not_attention))


@test_the_trained_layer_attends_to_its_training.claim.needs(
    "an optimiser that adds multiples of gradients, not of their entries one by one"
)
def test_no_attention_over_its_history_is_what_adam_trains(evidence: ExactEvidence, decide: Decide) -> None:
    """Adam's change lies outside all sums of its outer products."""

    @given(losses(), SEEDS, st.integers(1, 3))
    def change_is_outside_the_span(loss: Loss, seed: int, steps: int) -> None:
        history = train_inside_a_network(loss, seed, [0.01] * steps, 1, torch.optim.Adam)
        terms = torch.einsum("to,ti->oit", history.errors, history.inputs).reshape(INNER * INNER, steps)
        change = (history.final.weight.detach() - history.initial).reshape(-1, 1)
        nearest = terms @ torch.linalg.lstsq(terms, change).solution
        evidence.different(change, nearest, "Adam's change and the nearest sum of outer products", by=1e-3)

    decide(evidence.every(change_is_outside_the_span))
