"""Raventós et al. 2023: what a learner answers that knows the pool of tasks it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import sqrt

import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from icl_claims.claims import IN_EVERY_CASE, CaseRule, Decide, raventos
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import example_by_example, task_pool

from ..cases import SEEDS, normal

POOLS, TASKS = 400, 1000
PROMPTS = range(4)
INPUTS, DEMONSTRATIONS, NOISE = 2, 2, 1.0


@dataclass(frozen=True, eq=False)
class Prompt:
    """A pool of tasks, and the demonstrations of one of them, with noise."""

    pool: Tensor
    inputs: Tensor
    targets: Tensor


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    """Two to six tasks, and one to five demonstrations."""
    inputs, tasks, demonstrations = draw(st.integers(1, 4)), draw(st.integers(2, 6)), draw(st.integers(1, 5))
    seed = draw(SEEDS)
    pool, x = normal(seed, tasks, inputs), normal(seed + 1, demonstrations, inputs)
    return Prompt(pool, x, x @ pool[0] + 0.5 * normal(seed + 2, demonstrations))


@raventos.claim("dmmse-is-the-posterior", where="the estimator dMMSE", rule=IN_EVERY_CASE, on="exact")
def test_dmmse_is_the_mean_over_the_pool_given_the_prompt(evidence: ExactEvidence, decide: Decide) -> None:
    """The weights sum_m softmax_m(-|y - X w_m|^2 / 2 s^2) w_m are the posterior mean over a pool of tasks that are
    equally likely; as s goes to 0 they are the task of the pool that is nearest to the demonstrations.
    """

    @given(prompts(), st.sampled_from([0.1, 1.0, 10.0]))
    def it_is_bayes_rule(case: Prompt, noise: float) -> None:
        likelihoods = torch.stack([normal_density(case, task, noise) for task in case.pool])
        posterior = likelihoods / likelihoods.sum()
        expected = sum((share * task for share, task in zip(posterior, case.pool, strict=True)), torch.zeros(()))
        evidence.equal(task_pool.dmmse(case.pool, case.inputs, case.targets, noise), expected, "the posterior mean")

    @given(prompts())
    def without_noise_it_is_the_nearest_task(case: Prompt) -> None:
        distances = torch.stack([(case.targets - case.inputs @ task).square().sum() for task in case.pool])
        nearest, second = distances.sort().values[:2]
        assume(second > nearest)
        noise = float(second - nearest) / 80  # every other task weighs less than exp(-40)
        answered = task_pool.dmmse(case.pool, case.inputs, case.targets, noise)
        evidence.equal(answered, case.pool[distances.argmin()], "the nearest task")

    decide(evidence.every(it_is_bayes_rule, without_noise_it_is_the_nearest_task))


@raventos.claim(
    "dmmse-approaches-ridge",
    where="the estimators dMMSE and ridge; the rate is ours",
    rule=CaseRule(
        "in each of four prompts, the number of tasks times the mean squared distance over 400 pools is within four "
        "standard errors, and a tenth, of the closed form, for pools of 1,000 tasks and for pools of 4,000"
    ),
    on="exact",
)
def test_dmmse_approaches_ridge_as_the_pool_grows(evidence: ExactEvidence, decide: Decide) -> None:
    """As the pool of tasks from N(0, I) grows, dMMSE approaches ridge regression with penalty s^2: the mean squared
    distance falls as one over the number of tasks, by a factor in closed form.
    """

    def the_distance_falls_at_the_monte_carlo_rate() -> None:
        for seed in PROMPTS:
            inputs, targets = noisy_prompt(seed)
            ridge = example_by_example.solve_by_examples(inputs, targets, NOISE)
            limit = float(task_pool.distance_constant(inputs, targets, NOISE))
            for tasks in (TASKS, 4 * TASKS):
                pools = normal(100 + seed, POOLS, tasks, INPUTS)
                learned = task_pool.dmmse(pools, inputs, targets, NOISE)
                scaled = tasks * (learned - ridge).square().sum(-1)
                error = 4 * float(scaled.std()) / sqrt(POOLS) + limit / 10
                what = f"distance of pools of {tasks} tasks, prompt {seed}"
                evidence.check(abs(float(scaled.mean()) - limit) <= error, what)

    decide(evidence.every(the_distance_falls_at_the_monte_carlo_rate))


@test_dmmse_approaches_ridge_as_the_pool_grows.claim.needs("a pool from the Gaussian that ridge regression stands for")
def test_a_pool_of_other_tasks_is_not_ridge(evidence: ExactEvidence, decide: Decide) -> None:
    """Over all tasks of entries 1 and -1, of the same mean and covariance, dMMSE is not ridge regression."""

    @given(SEEDS)
    def the_distance_stays(seed: int) -> None:
        inputs, targets = noisy_prompt(seed)
        all_tasks = torch.tensor(list(product((-1.0, 1.0), repeat=INPUTS)), dtype=torch.float64)
        ridge = example_by_example.solve_by_examples(inputs, targets, NOISE)
        learned = task_pool.dmmse(all_tasks, inputs, targets, NOISE)
        evidence.different(learned, ridge, "dMMSE over all such tasks, and ridge regression", by=0.01)

    decide(evidence.every(the_distance_stays))


def normal_density(case: Prompt, task: Tensor, noise: float) -> Tensor:
    """The probability density of the targets, given the task, as torch has it."""
    law = torch.distributions.Normal(case.inputs @ task, sqrt(noise))
    density: Tensor = law.log_prob(case.targets).sum().exp()
    return density


def noisy_prompt(seed: int) -> tuple[Tensor, Tensor]:
    """Demonstrations of a task from N(0, I), with noise."""
    inputs = normal(seed, DEMONSTRATIONS, INPUTS)
    return inputs, inputs @ normal(seed + 10, INPUTS) + sqrt(NOISE) * normal(seed + 20, DEMONSTRATIONS)
