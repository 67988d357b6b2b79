"""Zhang, Wu and Bartlett 2024: tasks with a common mean, which linear attention cannot start from."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import IN_EVERY_CASE, Decide, zhang_wu
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import linear_self_attention as attention
from icl_claims.theory import prior_mean

from ..cases import SEEDS, normal
from .one_input import one_input

MEANS, DEMONSTRATIONS = st.sampled_from([0.5, -1.0, 2.0, 4.0]), st.integers(1, 20)


@zhang_wu.claim(
    "prior-mean-breaks-gd", where="abstract; the closed form for one input is ours", rule=IN_EVERY_CASE, on="exact"
)
def test_linear_attention_pays_for_the_mean_of_tasks(evidence: ExactEvidence, decide: Decide) -> None:
    """If tasks have a mean b other than 0, linear attention that is asked with (x, 0) has an error that a gradient step
    from W0 = b has not: for one input, no noise and n demonstrations at least (1 + b^2) 2/(n + 2) against 2/(n + 2).
    """

    @given(MEANS, DEMONSTRATIONS, SEEDS)
    def no_layer_has_a_smaller_error(mean: float, demonstrations: int, seed: int) -> None:
        tasks = one_input(mean, demonstrations)
        least = torch.tensor(prior_mean.least_error_of_attention(mean, demonstrations), dtype=torch.float64)
        evidence.equal(tasks.least_error(tasks.readable()), least, "the least error of what a layer can read")
        best = attention.construct(torch.zeros(1, 1).double(), prior_mean.best_rate(demonstrations), demonstrations)
        evidence.equal(tasks.error(tasks.answers(best)), least, "the error of the layer that reaches it")
        other = attention.LinearSelfAttention(*normal(seed, 4, 2, 2))
        evidence.check(
            bool(tasks.error(tasks.answers(other)) >= least * (1 - 1e-9)), "no layer is below the least error"
        )

    @given(MEANS, DEMONSTRATIONS)
    def a_step_from_the_mean_has(mean: float, demonstrations: int) -> None:
        tasks = one_input(mean, demonstrations)
        slopes = tasks.squares * (tasks.weights - mean)
        step = mean + prior_mean.best_rate(demonstrations) * slopes
        least = torch.tensor(prior_mean.least_error_of_a_step(demonstrations), dtype=torch.float64)
        evidence.equal(tasks.error(step), least, "the error of a gradient step from the mean")
        of_attention = torch.tensor(prior_mean.least_error_of_attention(mean, demonstrations), dtype=torch.float64)
        evidence.equal(of_attention - least, mean**2 * least, "the gap")

    decide(evidence.every(no_layer_has_a_smaller_error, a_step_from_the_mean_has))


@test_linear_attention_pays_for_the_mean_of_tasks.claim.needs("a mean other than 0")
def test_tasks_without_a_mean_cost_nothing(evidence: ExactEvidence, decide: Decide) -> None:
    """Where the mean is 0, the best layer has the error of a gradient step."""

    @given(DEMONSTRATIONS)
    def there_is_no_gap(demonstrations: int) -> None:
        tasks = one_input(0.0, demonstrations)
        step = prior_mean.best_rate(demonstrations) * tasks.squares * tasks.weights
        evidence.equal(tasks.least_error(tasks.readable()), tasks.error(step), "layer and step")

    decide(evidence.every(there_is_no_gap))
