"""He et al. 2025: two softmax heads of opposite signs take a step of debiased gradient descent.

The paper says so of trained heads, and only approximately. Here it is the limit of small scales, with a bound of what
is left; it corrects appendix A.9 of von Oswald et al. 2023.
"""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import IN_EVERY_CASE, Decide, he
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import softmax_heads

from .strategies import Written, writings

SCALES = st.sampled_from([0.001, 0.01, 0.1, 0.5, 1.0])


@he.claim("softmax-is-centred-gd", where="abstract", rule=IN_EVERY_CASE, on="exact")
def test_softmax_heads_take_a_step_of_centred_descent(evidence: ExactEvidence, decide: Decide) -> None:
    """Softmax attention at a small scale beta gives the mean of the values plus beta times a gradient step for a linear
    model with an intercept, up to beta^2. Two heads of opposite scales and signs leave that step alone: the covariance
    of values and keys, not their raw moment.
    """

    @given(writings())
    def the_slope_at_scale_0_is_the_step(case: Written) -> None:
        scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
        outputs = softmax_heads.head(case.keys, case.values, case.query, scale)
        slopes = [torch.autograd.grad(output, scale, retain_graph=True)[0] for output in outputs]
        evidence.equal(outputs, case.values.mean(0), "attention at scale 0")
        centred = softmax_heads.centred_moment(case.keys, case.values)
        evidence.equal(torch.stack(slopes), centred @ case.query, "the slope of attention in its scale")

    @given(writings(least_tokens=2), SCALES)
    def what_is_left_is_bounded(case: Written, scale: float) -> None:
        step = softmax_heads.centred_moment(case.keys, case.values) @ case.query
        one = softmax_heads.head(case.keys, case.values, case.query, scale) - case.values.mean(0) - scale * step
        two = softmax_heads.opposite_heads(case.keys, case.values, case.query, scale) - step
        for left, bound, what in (
            (one, softmax_heads.one_head_error(case.keys, case.values, case.query, scale), "one head"),
            (two, softmax_heads.opposite_heads_error(case.keys, case.values, case.query, scale), "two heads"),
        ):
            evidence.check(bool((left.abs() <= bound + 1e-11).all()), f"what {what} leaves is within the bound")

    @given(writings())
    def the_step_is_one_of_a_model_with_an_intercept(case: Written) -> None:
        weights = torch.nn.Parameter(torch.zeros_like(case.start))
        intercept = case.values.mean(0)  # the best one while W = 0
        ((case.keys @ weights.mT + intercept - case.values).square().sum() / (2 * len(case.keys))).backward()
        torch.optim.SGD([weights], lr=1.0).step()
        evidence.equal(softmax_heads.centred_moment(case.keys, case.values), weights, "the weights after a step")

    @given(writings(least_tokens=2))
    def raw_and_centred_differ_unless_centred(case: Written) -> None:
        raw, centred = (
            moment(case.keys, case.values) for moment in (softmax_heads.raw_moment, softmax_heads.centred_moment)
        )
        evidence.different(raw, centred, "the raw moment and the covariance")
        means = torch.outer(case.values.mean(0), case.keys.mean(0))
        evidence.equal(raw, centred + means, "the covariance and the product of the means")

    decide(
        evidence.every(
            the_slope_at_scale_0_is_the_step,
            what_is_left_is_bounded,
            the_step_is_one_of_a_model_with_an_intercept,
            raw_and_centred_differ_unless_centred,
        )
    )
