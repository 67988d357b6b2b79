"""Von Oswald et al. 2023, appendix: copying by softmax, two softmax heads, damping, and the range of the inputs."""

from __future__ import annotations

from itertools import pairwise
from math import exp

import torch
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import IN_EVERY_CASE, Decide, von_oswald
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import damped_descent, softmax_heads, token_copying
from icl_claims.theory import in_context_regression as regression
from icl_claims.theory import linear_self_attention as attention

from ..cases import SEEDS, learning_rates, normal
from .damping import FALLS_IN_EVERY_SAMPLE, repeated_with
from .strategies import Regression, Written, regressions, writings

TOKENS = st.integers(2, 12)


@von_oswald.claim(
    "softmax-copies-exactly", where="appendix A.5, proof of proposition 3", rule=IN_EVERY_CASE, on="exact"
)
def test_attention_to_the_next_position_is_left_as_it_is_by_a_softmax(evidence: ExactEvidence, decide: Decide) -> None:
    """Attention from each token to the next, by orthonormal positions, stays on the next token alone when the softmax
    is applied.
    """

    @given(TOKENS, SEEDS)
    def all_weight_is_on_the_next(tokens: int, seed: int) -> None:
        weights = token_copying.attention_weights(positions(seed, tokens), scale=1.0)
        evidence.equal(weights, torch.eye(tokens, dtype=torch.float64)[1:], "attention weights")

    decide(evidence.every(all_weight_is_on_the_next))


@von_oswald.claim(
    "softmax-copies-in-the-limit", where="appendix A.5, proposition 3, corrected", rule=IN_EVERY_CASE, on="exact"
)
def test_softmax_copies_as_its_scale_grows(evidence: ExactEvidence, decide: Decide) -> None:
    """Without a softmax such attention copies the next of L tokens; with one and scores times beta, it puts e^beta /
    (e^beta + L - 1) of its weight there, and what it copies misses it by (L - 1) e^-beta of the tokens' range at most.
    """

    @given(TOKENS, SEEDS, st.sampled_from([0.5, 1.0, 5.0, 20.0]))
    def weight_and_error_are_those(tokens: int, seed: int, scale: float) -> None:
        places, content = positions(seed, tokens), normal(seed + 1, tokens, 3)
        evidence.equal(token_copying.scores(places) @ content, content[1:], "what is copied without a softmax")
        weights = token_copying.attention_weights(places, scale)
        next_one = weights.diagonal(offset=1)
        expected = torch.full_like(next_one, token_copying.weight_of_the_next(tokens, scale))
        evidence.equal(next_one, expected, "the weight of the next token")
        lacking = (weights @ content - content[1:]).abs().amax(0)
        most = (tokens - 1) * exp(-scale) * (content.amax(0) - content.amin(0))
        evidence.check(bool((lacking <= most + 1e-12).all()), "what is copied is within the bound")

    decide(evidence.every(weight_and_error_are_those))


def positions(seed: int, tokens: int) -> torch.Tensor:
    """Orthonormal positions, one a row, of a width that is larger by two."""
    turned: torch.Tensor = torch.linalg.qr(normal(seed, tokens + 2, tokens))[0].mT
    return turned


@von_oswald.claim(
    "softmax-heads-cancel-to-gd", where="appendix A.9, equations 16 to 21", rule=IN_EVERY_CASE, on="exact"
)
def test_two_softmax_heads_cancel_to_linear_attention(evidence: ExactEvidence, decide: Decide) -> None:
    """Two softmax heads of opposite signs approximate linear attention, 1/N sum_i v_i k_i^T q, when their scores are
    small.
    """

    @given(writings(least_tokens=2))
    def they_tend_to_linear_attention(case: Written) -> None:
        two_heads = softmax_heads.opposite_heads(case.keys, case.values, case.query, 1e-5)
        linear = softmax_heads.raw_moment(case.keys, case.values) @ case.query
        evidence.equal(two_heads, linear, "two heads at the scale 1e-5", within=1e-4)

    decide(evidence.every(they_tend_to_linear_attention))


@von_oswald.claim("repeat-with-damping", where="appendix A.6", rule=IN_EVERY_CASE, on="exact")
def test_a_layer_may_be_repeated_below_a_damping_of_the_task(evidence: ExactEvidence, decide: Decide) -> None:
    """The layer of one step of rate eta may be repeated without end, its update damped by lambda, if and only if lambda
    eta times the largest eigenvalue of 1/N X^T X is not above 2. For all tasks with inputs in [-1, 1]^d this asks for a
    lambda of 2/(eta d) or less.
    """

    @given(regressions(least_demonstrations=1), st.sampled_from([0.2, 0.9, 0.99]))
    def below_it_no_error_grows(case: Regression, part: float) -> None:
        damping = part * float(damped_descent.critical_damping(case.inputs, case.rate))
        residuals = [residual_after(case.inputs, case.targets, case.rate, damping, repeats) for repeats in range(8)]
        for before, after in pairwise(residuals):
            evidence.check(bool(after.norm() <= before.norm() * (1 + 1e-12)), "no repeat adds to the residuals")

    @given(regressions(least_demonstrations=1), st.sampled_from([1.01, 1.5, 3.0]), st.integers(1, 8))
    def above_it_some_error_grows(case: Regression, part: float, repeats: int) -> None:
        damping = part * float(damped_descent.critical_damping(case.inputs, case.rate))
        left, _, _ = torch.linalg.svd(case.inputs)
        worst = left[:, :1]  # targets along which the largest eigenvalue acts
        after = residual_after(case.inputs, worst, case.rate, damping, repeats)
        evidence.equal(
            after.norm(), torch.tensor(abs(1 - 2 * part) ** repeats, dtype=torch.float64), "how far the residuals grow"
        )

    @given(st.integers(1, 6), st.integers(1, 6), SEEDS, learning_rates())
    def a_corner_is_the_worst_task(inputs: int, shown: int, seed: int, rate: float) -> None:
        safe = damped_descent.safe_damping(inputs, rate)
        within = 2 * torch.rand(shown, inputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1
        evidence.check(bool(damped_descent.critical_damping(within, rate) >= safe), "inputs in the cube")
        corner = within[0].sign().repeat(shown, 1)
        evidence.equal(
            damped_descent.critical_damping(corner, rate), torch.tensor(safe, dtype=torch.float64), "inputs in a corner"
        )

    decide(evidence.every(below_it_no_error_grows, above_it_some_error_grows, a_corner_is_the_worst_task))


def residual_after(
    inputs: torch.Tensor, targets: torch.Tensor, rate: float, damping: float, repeats: int
) -> torch.Tensor:
    """The targets' part of the demonstrations after a constructed layer, repeated with damping."""
    nothing = torch.zeros(targets.shape[1], inputs.shape[1], dtype=torch.float64)
    layer = attention.construct(nothing, rate, len(inputs))
    tokens = attention.demonstration_tokens(inputs, targets)
    for _ in range(repeats):
        tokens = tokens + damping * (attention.attend_linearly(layer, tokens, tokens) - tokens)
    return tokens[:, inputs.shape[1] :]


@von_oswald.claim("damping-75-descends", where="appendix A.6, figures 1 and 10", rule=FALLS_IN_EVERY_SAMPLE, on="exact")
def test_with_damping_75_the_loss_falls(evidence: ExactEvidence, decide: Decide) -> None:
    """Repeated 50 times with a damping of .75, the layer of one best step lowers the mean loss with every repeat."""
    decide(repeated_with(0.75))


@von_oswald.claim(
    "range-scales-out", where="section 3, inputs from U(-1, 1), and the published code", rule=IN_EVERY_CASE, on="exact"
)
def test_the_range_of_inputs_changes_the_rate_alone(evidence: ExactEvidence, decide: Decide) -> None:
    """Drawing inputs from U(-1/2, 1/2), as the published code does, and not from U(-1, 1), as the paper says, makes the
    best rate of a step four times as large, quarters every loss, and changes neither relative losses nor the damping at
    which a repeated layer diverges.
    """

    @given(SEEDS, st.integers(1, 5), st.integers(1, 8), st.sampled_from([0.5, 0.1, 3.0]))
    def everything_scales(seed: int, inputs: int, shown: int, factor: float) -> None:
        tasks = drawn(seed, inputs, shown)
        scaled = regression.Tasks(factor * tasks.demonstrations, factor * tasks.queries, factor * tasks.answers)
        rate, other = (regression.best_step(each) for each in (tasks, scaled))
        evidence.equal(other * factor**2, rate, "the best rate")
        for part in (0.3, 1.0, 1.7):
            loss, of_scaled = (
                regression.loss(regression.constructed(each, part * best), each)
                for each, best in ((tasks, rate), (scaled, other))
            )
            evidence.equal(of_scaled, factor**2 * loss, f"the loss at {part} of the best rate")
        critical, of_scaled = (
            damped_descent.critical_damping(each.demonstrations[..., :-1], best)
            for each, best in ((tasks, rate), (scaled, other))
        )
        evidence.equal(of_scaled, critical, "the damping at which a repeated layer diverges")

    decide(evidence.every(everything_scales))


@test_the_range_of_inputs_changes_the_rate_alone.claim.needs("targets without noise")
def test_with_noise_the_range_matters(evidence: ExactEvidence, decide: Decide) -> None:
    """With noise of one size on the targets, relative losses change with the range of the inputs."""

    @given(SEEDS, st.integers(1, 5), st.integers(2, 8))
    def relative_losses_change(seed: int, inputs: int, shown: int) -> None:
        tasks = drawn(seed, inputs, shown)
        relative = []
        for factor in (1.0, 0.5):
            demonstrations = factor * tasks.demonstrations
            demonstrations[..., -1] += normal(seed + 1, *demonstrations.shape[:-1])
            noisy = regression.Tasks(demonstrations, factor * tasks.queries, factor * tasks.answers)
            best = regression.loss(regression.constructed(noisy, regression.best_step(noisy)), noisy)
            relative.append(best / (noisy.answers.square().mean() / 2))
        evidence.different(relative[1], relative[0], "the relative loss of the best step")

    decide(evidence.every(relative_losses_change))


def drawn(seed: int, inputs: int, shown: int) -> regression.Tasks:
    """Twenty tasks with inputs from U(-1, 1)."""
    generator = torch.Generator().manual_seed(seed)
    return regression.draw(20, demonstrations=shown, inputs=inputs, generator=generator)
