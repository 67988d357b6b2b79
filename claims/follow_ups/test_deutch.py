"""Deutch et al. 2024: what the similarity metrics give when there is nothing to be found.

A similarity means something only beside what unrelated updates score. For SimAOU that is not 0, because scaling two
states to unit length moves them the same way; for direct SimAM it is near 1, because both maps are the zero-shot map
and little else.
"""

from __future__ import annotations

from math import sqrt

import torch
from hypothesis import example, given
from hypothesis import strategies as st

from icl_claims.claims import IN_EVERY_CASE, CaseRule, Decide, deutch
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.metrics import similarity
from icl_claims.theory import random_floor

from ..cases import SEEDS, normal

HIDDEN, QUERIES = 512, 2000
RELATIVE_SQUARES = (0.1, 0.5, 1.0, 3.0, 10.0)
SQUARES = st.floats(0.01, 100.0)


@deutch.claim(
    "random-floor",
    where="on the SimAOU metric; the closed form is ours",
    rule=CaseRule("equal for orthogonal updates, and within four standard errors for random ones, in every case tried"),
    on="exact",
)
def test_unrelated_updates_score_the_floor(evidence: ExactEvidence, decide: Decide) -> None:
    """Two updates of a state that have nothing to do with each other do not score 0 on SimAOU: with states scaled to
    unit length they score (1 - s)/2, s = 1/sqrt(1 + c), where c is their squared length over the state's.
    """

    @given(SQUARES, SQUARES, st.integers(3, 12), SEEDS)
    def orthogonal_updates_score_it_exactly(first: float, second: float, hidden: int, seed: int) -> None:
        state, one, other = torch.linalg.qr(normal(seed, hidden, 3))[0].T[:, None, None]
        for a, b in ((first, first), (first, second)):
            score = similarity.sim_aou.values(state + sqrt(a) * one, state + sqrt(b) * other, state)
            floor = torch.full((1, 1), random_floor.sim_aou_floor(a, b), dtype=torch.float64)
            evidence.equal(score, floor, "SimAOU of orthogonal updates")

    def random_updates_score_it_on_average() -> None:
        for relative_square in RELATIVE_SQUARES:
            scores = of_random_updates(relative_square)
            error = float(scores.std() / sqrt(QUERIES))
            distance = abs(float(scores.mean()) - random_floor.sim_aou_floor(relative_square))
            evidence.check(distance <= 4 * error + 1 / HIDDEN, f"mean SimAOU of random updates, c = {relative_square}")

    decide(evidence.every(orthogonal_updates_score_it_exactly, random_updates_score_it_on_average))


@test_unrelated_updates_score_the_floor.claim.needs("states scaled to unit length")
def test_without_scaling_unrelated_updates_score_0(evidence: ExactEvidence, decide: Decide) -> None:
    """Unscaled, unrelated updates score 0 on average."""

    def random_updates_score_0() -> None:
        for relative_square in RELATIVE_SQUARES:
            scores = of_random_updates(relative_square, normalised=False)
            error = float(scores.std() / sqrt(QUERIES))
            evidence.check(abs(float(scores.mean())) <= 4 * error, f"mean SimAOU is 0, c = {relative_square}")
            floor = random_floor.sim_aou_floor(relative_square)
            evidence.different(scores.mean(), torch.tensor(floor), f"mean and floor, c = {relative_square}", by=0.5)

    decide(evidence.every(random_updates_score_0))


def of_random_updates(relative_square: float, *, normalised: bool = True) -> torch.Tensor:
    """SimAOU of two Gaussian updates of each of many states."""
    states = normal(0, 1, QUERIES, HIDDEN)
    one, other = (random_floor.random_updates(states, relative_square, seed) for seed in (1, 2))
    scores: torch.Tensor = similarity.sim_aou.values(one, other, states, normalised=normalised)
    return scores


@deutch.claim("am-dominated-by-zsl", where="on the SimAM metric; the bound is ours", rule=IN_EVERY_CASE, on="exact")
def test_direct_sim_am_measures_the_size_of_updates(evidence: ExactEvidence, decide: Decide) -> None:
    """Direct SimAM is near 1 for any two updates that are small beside the zero-shot map of every head, and depends on
    their size; SimAM of the updates does not.
    """

    @given(st.floats(0.01, 0.9), st.floats(0.01, 0.9), st.integers(3, 12), SEEDS)
    def no_two_small_updates_score_low(first: float, second: float, width: int, seed: int) -> None:
        zero_shot, one, other = (m / m.norm() for m in normal(seed, 3, 1, 1, 1, width))
        bound = random_floor.least_direct_sim_am(first, second)
        score = similarity.sim_am.values(zero_shot + first * one, zero_shot + second * other)
        evidence.check(float(score) >= bound - 1e-9, "direct SimAM is above its bound")
        lowest = similarity.sim_am.values(*farthest(zero_shot, one, first, second))
        evidence.equal(lowest, torch.full((1, 1), bound, dtype=torch.float64), "the bound is reached")

    @given(st.floats(0.02, 0.5), st.integers(3, 12), SEEDS)
    @example(0.02, 3, 2521)  # one head's map is far smaller than the other's until each has unit length
    def only_the_direct_score_depends_on_size(size: float, width: int, seed: int) -> None:
        zero_shot, one, other = (m / m.norm(dim=-1, keepdim=True) for m in normal(seed, 3, 1, 2, 1, width))
        full, small = ((zero_shot + t * one, zero_shot + t * other) for t in (1.0, size))
        by_updates = similarity.sim_am_update.values(*full, zero_shot)
        evidence.equal(similarity.sim_am_update.values(*small, zero_shot), by_updates, "SimAM of scaled updates")
        evidence.different(
            similarity.sim_am.values(*small), similarity.sim_am.values(*full), "direct SimAM of scaled updates"
        )
        opposed = similarity.sim_am.values(zero_shot + 0.01 * one, zero_shot - 0.01 * one)
        evidence.check(float(opposed) > 0.99, "direct SimAM of opposite small updates is near 1")

    decide(evidence.every(no_two_small_updates_score_low, only_the_direct_score_depends_on_size))


def farthest(
    zero_shot: torch.Tensor, direction: torch.Tensor, first: float, second: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The two updates of given relative lengths that turn a map farthest apart, in the plane of a direction."""
    across = direction - (direction * zero_shot).sum() * zero_shot
    across = across / across.norm()

    def turned(length: float, side: float) -> torch.Tensor:
        # On the tangent from 0 to the circle around the map: the update is orthogonal to what it leads to.
        map_: torch.Tensor = zero_shot + length * (-length * zero_shot + side * sqrt(1 - length**2) * across)
        return map_

    return turned(first, 1.0), turned(second, -1.0)
