"""Xie et al. 2025: an initial guess in the query's token makes linear attention gradient descent again."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import IN_EVERY_CASE, Decide, xie
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import linear_self_attention as attention
from icl_claims.theory import prior_mean

from .one_input import one_input

MEANS, DEMONSTRATIONS = st.sampled_from([0.0, 0.5, -1.0, 2.0, 4.0]), st.integers(1, 20)


@xie.claim(
    "initial-guess-restores-gd", where="abstract; the closed form for one input is ours", rule=IN_EVERY_CASE, on="exact"
)
def test_with_a_guess_a_layer_has_the_error_of_a_step(evidence: ExactEvidence, decide: Decide) -> None:
    """With an initial guess g x in the query's token, linear attention has the least error of a gradient step from the
    mean b of the tasks, for one input and no noise; it has it at g = b, and no guess and layer have a smaller one.
    """

    @given(MEANS, DEMONSTRATIONS)
    def the_guess_closes_the_gap(mean: float, demonstrations: int) -> None:
        tasks = one_input(mean, demonstrations)
        least = torch.tensor(prior_mean.least_error_of_a_step(demonstrations), dtype=torch.float64)
        start = torch.tensor([[mean]], dtype=torch.float64)
        layer = attention.construct(start, prior_mean.best_rate(demonstrations), demonstrations)
        evidence.equal(tasks.error(tasks.answers(layer, guess=mean)), least, "the error at the guess b")
        readable = torch.cat([torch.ones_like(tasks.weights)[:, None], tasks.readable()], dim=1)
        evidence.equal(tasks.least_error(readable), least, "the least error of any guess and layer")

    decide(evidence.every(the_guess_closes_the_gap))


@test_with_a_guess_a_layer_has_the_error_of_a_step.claim.needs("a guess that is the mean of the tasks")
def test_with_a_wrong_guess_a_gap_remains(evidence: ExactEvidence, decide: Decide) -> None:
    """With a guess g that misses the mean by c, the least error is 1 + c^2 times that of the step."""

    @given(MEANS, DEMONSTRATIONS, st.sampled_from([-3.0, -0.5, 0.5, 2.0]))
    def a_miss_costs_its_square(mean: float, demonstrations: int, miss: float) -> None:
        tasks, best = one_input(mean, demonstrations), prior_mean.best_rate(demonstrations)
        layer = attention.construct(torch.tensor([[mean + miss]], dtype=torch.float64), best, demonstrations)
        least = torch.tensor(prior_mean.least_error_of_a_step(demonstrations), dtype=torch.float64)
        found = tasks.error(tasks.answers(layer, guess=mean + miss))
        evidence.equal(found, (1 + miss**2) * least, "the error at another guess")

    decide(evidence.every(a_miss_costs_its_square))
