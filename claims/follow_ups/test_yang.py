"""Yang et al. 2025, table 1: of which losses the rules that write into a layer's weights are steps."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import IN_EVERY_CASE, Decide, yang
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import fast_weights

from ..cases import SEEDS
from .strategies import Written, writings

RATES = st.lists(st.floats(0.01, 1.0), min_size=6, max_size=6)


@yang.claim("hebbian-not-error-driven", where="table 1, linear attention", rule=IN_EVERY_CASE, on="exact")
def test_linear_attention_descends_a_loss_without_a_minimum(evidence: ExactEvidence, decide: Decide) -> None:
    """Linear attention descends the loss -sum_i <W k_i, v_i>, from whatever weights, in whatever order, and however
    many tokens a step takes together. The loss has no minimum and the step knows no error: a second pass over the same
    tokens writes all of it again, which descent on squared loss does not.
    """

    @given(writings(), SEEDS, st.integers(1, 6))
    def any_split_into_steps_is_linear_attention(case: Written, seed: int, together: int) -> None:
        order = torch.randperm(len(case.keys), generator=torch.Generator().manual_seed(seed))
        weights = torch.nn.Parameter(case.start.clone())
        optimizer = torch.optim.SGD([weights], lr=1.0)
        for some in order.split(together):
            optimizer.zero_grad()
            (-((case.keys[some] @ weights.mT) * case.values[some]).sum()).backward()
            optimizer.step()
        evidence.equal(weights, fast_weights.hebbian(case.start, case.keys, case.values), "weights after the steps")

    @given(writings(), st.integers(1, 5))
    def every_pass_writes_and_gains_the_same(case: Written, passes: int) -> None:
        weights = case.start
        for _ in range(passes):
            weights = fast_weights.hebbian(weights, case.keys, case.values)
        written = fast_weights.hebbian(torch.zeros_like(case.start), case.keys, case.values)
        evidence.equal(weights - case.start, passes * written, "what all passes write")
        before, after = (fast_weights.inner_product_loss(w, case.keys, case.values) for w in (case.start, weights))
        evidence.equal(before - after, passes * written.square().sum(), "how far the loss falls")

    @given(writings(least_tokens=2))
    def descent_on_squared_loss_writes_less_again(case: Written) -> None:
        nothing = torch.zeros_like(case.start)
        once, twice = (case.squared_loss_steps(nothing, steps) for steps in (1, 2))
        evidence.equal(once, fast_weights.hebbian(nothing, case.keys, case.values), "the first pass from W_0 = 0")
        evidence.different(twice, 2 * once, "a second pass on squared loss")

    decide(
        evidence.every(
            any_split_into_steps_is_linear_attention,
            every_pass_writes_and_gains_the_same,
            descent_on_squared_loss_writes_less_again,
        )
    )


@yang.claim("delta-rule-is-sgd", where="table 1, DeltaNet", rule=IN_EVERY_CASE, on="exact")
def test_the_delta_rule_is_stochastic_descent(evidence: ExactEvidence, decide: Decide) -> None:
    """The delta rule W <- W - beta (W k - v) k^T is stochastic gradient descent on 1/2 |W k - v|^2, one token after the
    other, and is not linear attention.
    """

    @given(writings(), RATES)
    def it_is_a_step_of_sgd_on_each_token(case: Written, rates: list[float]) -> None:
        steps = torch.tensor(rates[: len(case.keys)], dtype=torch.float64)
        ruled = fast_weights.delta_rule(case.start, case.keys, case.values, steps)
        evidence.equal(ruled, case.token_by_token(case.start, steps), "weights after all tokens")

    @given(writings(least_tokens=2))
    def it_is_not_linear_attention(case: Written) -> None:
        nothing, steps = torch.zeros_like(case.start), torch.ones(len(case.keys), dtype=torch.float64)
        ruled = fast_weights.delta_rule(nothing, case.keys, case.values, steps)
        written = fast_weights.hebbian(nothing, case.keys, case.values)
        evidence.different(ruled, written, "the delta rule and linear attention")

    decide(evidence.every(it_is_a_step_of_sgd_on_each_token, it_is_not_linear_attention))


@test_the_delta_rule_is_stochastic_descent.claim.needs("keys that overlap, for it not to be linear attention")
def test_of_orthogonal_unit_keys_both_write_the_same(evidence: ExactEvidence, decide: Decide) -> None:
    """With orthogonal keys of unit length, from W_0 = 0 and at the rate 1, the delta rule is linear attention."""

    @given(writings(most_tokens=3, least_inputs=3))
    def both_write_the_same(case: Written) -> None:
        keys = torch.linalg.qr(case.keys.mT)[0].mT
        nothing, steps = torch.zeros_like(case.start), torch.ones(len(keys), dtype=torch.float64)
        ruled = fast_weights.delta_rule(nothing, keys, case.values, steps)
        evidence.equal(ruled, fast_weights.hebbian(nothing, keys, case.values), "weights after all tokens")

    decide(evidence.every(both_write_the_same))
