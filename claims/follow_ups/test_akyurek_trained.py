"""Akyürek et al. 2023: which learner a trained model is nearest to, by depth and noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from icl_claims.claims import CaseRule, Decide, akyurek
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.theory import moment_learners as learners
from icl_claims.theory.training import Training

from ..over_seeds import decided_over_seeds

DEMONSTRATIONS, INPUTS = 10, 5
SHALLOW, DEEP = 1, 3
NOISES = (0.0, 0.25, 1.0)
TRAINING_SEEDS = range(5)
HOW = Training(steps=1000, tasks=128, rate=0.02)
HELD_OUT_TASKS = 10_000
BELOW_ONE, ABOVE_ZERO = (-np.inf, 1.0), (0.0, np.inf)
BOUNDS = {
    **{f"1 layer: to the step over to any other, noise {noise}": BELOW_ONE for noise in NOISES},
    **{f"3 layers: to ridge over to the step, noise {noise}": BELOW_ONE for noise in NOISES},
    **{f"3 layers: to ridge over to least squares, noise {noise}": BELOW_ONE for noise in NOISES[1:]},
    **{f"3 layers: nearest penalty, rise up to noise {noise}": ABOVE_ZERO for noise in NOISES[1:]},
}
RULE = CaseRule(
    "the 95 % t interval over five training seeds lies within the bound, for noise of variance 0, .25 and 1: by "
    "squared difference of predictions, one layer is nearer to one gradient step with the best rate than to ridge "
    "regression with the noise as penalty and to least squares; three layers are nearer to that ridge regression than "
    "to the step and, with noise, to least squares; and the penalty of the ridge regression nearest to them rises with "
    "the noise"
)


@akyurek.claim("depth-phases", where="section 4.3, figures 2 and 3", rule=RULE, on="exact", trained=True)
def test_one_layer_is_a_step_and_three_are_ridge_regression(evidence: ExactEvidence, decide: Decide) -> None:
    """Of one gradient step, ridge regression and least squares, a trained layer of linear self-attention is nearest to
    the step and three layers to ridge regression, whose penalty rises with the noise of the targets (with 5 inputs and
    10 demonstrations; the paper's transformers have softmax, MLPs and up to 16 layers).
    """
    generator = torch.Generator().manual_seed(10_001)
    tasks = learners.draw_moments(HELD_OUT_TASKS, demonstrations=DEMONSTRATIONS, inputs=INPUTS, generator=generator)
    trained = {
        (depth, noise): learners.train_stacks(
            TRAINING_SEEDS, layers=depth, demonstrations=DEMONSTRATIONS, inputs=INPUTS, noise=noise, how=HOW
        )
        for depth in (SHALLOW, DEEP)
        for noise in NOISES
    }
    measured = [
        of_one_seed({asked: learners.stack(tasks, stacks[seed]) for asked, stacks in trained.items()}, tasks)
        for seed in range(len(TRAINING_SEEDS))
    ]
    decide(decided_over_seeds(RULE, "trained stacks against a step, ridge regression, least squares", measured, BOUNDS))


def of_one_seed(stacks: Mapping[tuple[int, float], Tensor], tasks: Tensor) -> Mapping[str, float]:
    """All measures of the stacks of one seed, in the order of the bounds."""
    one_layer, against_step, against_squares, penalties = [], [], [], []
    for noise in NOISES:
        spread = noise / DEMONSTRATIONS
        others = (best_step(tasks, spread), learners.ridge(tasks, spread), learners.ridge(tasks, 0.0))
        step, ridge, squares = (apart(stacks[SHALLOW, noise], other, tasks, spread) for other in others)
        one_layer.append(step / min(ridge, squares))
        step, ridge, squares = (apart(stacks[DEEP, noise], other, tasks, spread) for other in others)
        against_step.append(ridge / step)
        against_squares.append(ridge / squares)
        penalties.append(nearest_penalty(stacks[DEEP, noise], tasks, spread))
    found = [*one_layer, *against_step, *against_squares[1:], *map(float, np.diff(penalties))]
    return dict(zip(BOUNDS, found, strict=True))


def apart(one: Tensor, other: Tensor, tasks: Tensor, spread: float) -> float:
    """SPD, the mean squared difference of predictions."""
    return float(learners.distance(one, other, tasks, spread).mean())


def best_step(tasks: Tensor, spread: float) -> Tensor:
    """One gradient step with the rate of least mean loss, E tr S / (E tr S^2 + noise E tr S)."""
    trace, square = (float(one.diagonal(dim1=-2, dim2=-1).sum(-1).mean()) for one in (tasks, tasks @ tasks))
    return learners.descent(tasks, [trace / (square + spread * trace)])


def nearest_penalty(stack: Tensor, tasks: Tensor, spread: float) -> float:
    """The penalty of the ridge regression that a stack is nearest to."""

    def of_penalty(penalty: float) -> float:
        return apart(stack, learners.ridge(tasks, penalty / DEMONSTRATIONS), tasks, spread)

    return float(minimize_scalar(of_penalty, bounds=(0, 10)).x)
