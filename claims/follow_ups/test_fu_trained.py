"""Fu et al. 2024: a layer more is worth more than a step more; on small trained stacks of linear self-attention."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from icl_claims.claims import CaseRule, Decide, fu
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import moment_learners as learners
from icl_claims.theory.training import Training

from ..over_seeds import decided_over_seeds

DEMONSTRATIONS, INPUTS = 20, 5
DEPTHS = (1, 2, 3)
TRAINING_SEEDS = range(5)
HOW = Training(steps=1500, tasks=128, rate=0.02)
HELD_OUT_TASKS = 4000
MOST_STEPS, MOST_ITERATIONS = 128, 16
BOUNDS = {
    "loss of 2 layers against 2 steps": (-np.inf, 0.9),
    "loss of 3 layers against 3 steps": (-np.inf, 0.9),
    "doublings of the nearest number of steps, a layer": (0.8, np.inf),
    "nearest number of Newton iterations, second difference": (-1.0, 1.0),
}
RULE = CaseRule(
    "the 95 % t interval over five training seeds lies within the bound: loss of 2 and of 3 layers below .9 of that of "
    "as many steps of gradient descent, each with its own best rate; from 1 layer to 3, log2 of the number of steps, "
    "of one best rate, with the nearest predictions rises by .8 a layer or more; the number of Newton iterations with "
    "the nearest predictions rises from 2 to 3 layers by as much as from 1 to 2, or by one more or less"
)


@fu.claim("steps-per-layer", where="section 4, figures 2 and 3", rule=RULE, on="exact", trained=True)
def test_steps_of_descent_double_with_every_layer(evidence: ExactEvidence, decide: Decide) -> None:
    """Stacks of linear self-attention with 1 to 3 layers, trained on regression in context with 5 inputs and 20
    demonstrations, lose less than as many steps of gradient descent; the number of steps that they are nearest to grows
    exponentially with depth, and that of Newton's iterations linearly (the paper's transformers have 12 layers with
    softmax and MLPs, and 20 inputs).
    """
    tuned, held_out = (moments(seed) for seed in (10_001, 10_002))
    trained = [
        learners.train_stacks(TRAINING_SEEDS, layers=depth, demonstrations=DEMONSTRATIONS, inputs=INPUTS, how=HOW)
        for depth in DEPTHS
    ]
    descents = [mean_loss(learners.descent(held_out, best_rates(tuned, depth)), held_out) for depth in DEPTHS]
    steps = [descended(held_out, best_rate(tuned, steps), steps) for steps in range(1, MOST_STEPS + 1)]
    iterations = [learners.newton(held_out, count) for count in range(MOST_ITERATIONS + 1)]
    measured = [
        against_descent([learners.stack(held_out, of_depth[seed]) for of_depth in trained], held_out, descents)
        | matches([learners.stack(held_out, of_depth[seed]) for of_depth in trained], held_out, steps, iterations)
        for seed in range(len(TRAINING_SEEDS))
    ]
    decide(decided_over_seeds(RULE, "trained stacks against gradient descent and Newton's iteration", measured, BOUNDS))


def moments(seed: int) -> Tensor:
    """Tasks that no stack was trained on."""
    generator = torch.Generator().manual_seed(seed)
    return learners.draw_moments(HELD_OUT_TASKS, demonstrations=DEMONSTRATIONS, inputs=INPUTS, generator=generator)


def against_descent(stacks: list[Tensor], tasks: Tensor, descents: list[float]) -> dict[str, float]:
    """The losses of stacks of 1, 2 and 3 layers over those of as many steps."""
    ratios = [mean_loss(one, tasks) / best for one, best in zip(stacks, descents, strict=True)]
    return dict(zip(list(BOUNDS)[:2], ratios[1:], strict=True))


def matches(stacks: list[Tensor], tasks: Tensor, steps: list[Tensor], iterations: list[Tensor]) -> dict[str, float]:
    """How the nearest numbers of steps and of iterations grow from 1 layer to 3."""
    of_descent = np.log2([1 + nearest(one, steps, tasks) for one in stacks])
    of_newton = [nearest(one, iterations, tasks) for one in stacks]
    growth = float(of_descent[-1] - of_descent[0]) / (len(stacks) - 1)
    return dict(zip(list(BOUNDS)[2:], (growth, float(np.diff(of_newton, n=2)[0])), strict=True))


def nearest(stack: Tensor, others: list[Tensor], tasks: Tensor) -> int:
    """The place of the learner whose predictions differ least from a stack's."""
    return int(np.argmin([float(learners.distance(stack, other, tasks).mean()) for other in others]))


def mean_loss(learner: Tensor, tasks: Tensor) -> float:
    """The loss over tasks without noise."""
    return float(learners.loss(learner, tasks).mean())


def descended(tasks: Tensor, rate: float, steps: int) -> Tensor:
    """Many steps with one rate: S^-1 (I - (I - eta S)^k)."""
    identity = torch.eye(INPUTS, dtype=tasks.dtype)
    left = torch.linalg.matrix_power(identity - rate * tasks, steps)
    learner: Tensor = torch.linalg.solve(tasks, identity - left)
    return learner


def best_rate(tasks: Tensor, steps: int) -> float:
    """The one rate with which so many steps of gradient descent have the least mean loss."""
    spectra = torch.linalg.eigvalsh(tasks).numpy()
    most = 3 / spectra[:, -1].mean()
    return float(minimize_scalar(lambda rate: ((1 - rate * spectra) ** (2 * steps)).mean(), bounds=(0, most)).x)


def best_rates(tasks: Tensor, steps: int) -> list[float]:
    """The rates, one a step, with which gradient descent has the least mean loss."""
    spectra = torch.linalg.eigvalsh(tasks).numpy()

    def left(rates: np.ndarray) -> float:
        return float(np.prod([(1 - rate * spectra) ** 2 for rate in rates], axis=0).mean())

    # Apart from each other at the start: where rates are equal, their slopes are, too.
    start = np.linspace(0.5, 1.5, steps) * best_rate(tasks, steps)
    return [float(rate) for rate in minimize(left, start).x]
