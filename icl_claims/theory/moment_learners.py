"""Learners that are linear in their targets: what they learn from demonstrations is K m, with m = X^T y / n.

Inputs are x ~ N(0, I), tasks w ~ N(0, I), targets y = w^T x + noise. All that such a learner does then follows from K
and S = X^T X / n: its loss and its distance from another one are exact in w, in the noise and in the query, and only S
is drawn. Gradient descent from 0 on 1/(2n) |X w - y|^2, Newton's iteration for the inverse, ridge regression and stacks
of linear self-attention are learners of this kind.

Source: Ahn et al. 2023, section 3, equations 8 and 11 (stacks); Fu et al. 2024, sections 3 and 5 (Newton's iteration);
Akyürek et al. 2023, section 4.3 (ridge regression).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory import training
from icl_claims.theory.training import Training

Moments = Float[Tensor, "*batch inputs inputs"]
Learner = Float[Tensor, "*batch inputs inputs"]
StackWeights = Float[Tensor, "*models layers 2 inputs inputs"]


def draw_moments(*batch: int, demonstrations: int, inputs: int, generator: torch.Generator) -> Moments:
    """Second moments S = X^T X / n of normal inputs.

    >>> tuple(draw_moments(4, 5, demonstrations=3, inputs=2, generator=torch.Generator().manual_seed(0)).shape)
    (4, 5, 2, 2)
    """
    x = torch.randn(*batch, demonstrations, inputs, generator=generator, dtype=torch.float64)
    moments: Tensor = x.mT @ x / demonstrations
    return moments


def descent(moments: Moments, rates: Sequence[float]) -> Learner:
    """Steps of gradient descent from 0: K <- K + eta (I - S K).

    >>> descent(torch.tensor([[2.0]]), [0.25, 0.25]).item()  # 0.25, then 0.25 + 0.25 * (1 - 0.5)
    0.375
    """
    identity = _identity(moments)
    learner = torch.zeros_like(moments)
    for rate in rates:
        learner = learner + rate * (identity - moments @ learner)
    return learner


def newton(moments: Moments, iterations: int) -> Learner:
    """Newton's iteration for the inverse, K <- 2 K - K S K, from K = S / |S S^T|_F.

    Source: Fu et al. 2024, section 3.1; the start is that of their code.

    >>> newton(torch.tensor([[2.0]]), 0).item()
    0.5
    """
    learner: Tensor = moments / (moments @ moments).norm(dim=(-2, -1), keepdim=True)
    for _ in range(iterations):
        learner = 2 * learner - learner @ moments @ learner
    return learner


def ridge(moments: Moments, penalty: float) -> Learner:
    """Ridge regression: (S + penalty I)^-1, with the penalty of the mean over demonstrations; 0 is least squares.

    >>> ridge(torch.tensor([[2.0]]), 2.0).item()
    0.25
    """
    learner: Tensor = torch.linalg.inv(moments + penalty * _identity(moments))
    return learner


def stack(moments: Moments, weights: StackWeights) -> Learner:
    """A stack of linear self-attention in which a layer has P W_V = [[B, 0], [0, 1]] and W_K^T W_Q = [[A, 0], [0, 0]].

    Inputs become X <- (I + B S A) X and targets y <- (I + X^T A X / n) y; the answer is minus what the query's target
    part becomes. With B = 0 and A = -eta I a layer is a step of gradient descent.

    Args:
        moments: of shape (*models, tasks, inputs, inputs), or (tasks, inputs, inputs) for one model.
        weights: A and B of every layer.

    Source: Ahn et al. 2023, section 3 and equation 11.

    >>> step = torch.tensor([[[[-0.25]], [[0.0]]]])
    >>> stack(torch.tensor([[[2.0]]]), torch.cat([step, step])).item()
    0.375
    """
    inputs = read = _identity(moments)
    learner = torch.zeros_like(moments)
    for layer in weights.unbind(-4):
        scores, spread = (one.unsqueeze(-3) for one in layer.unbind(-3))
        asked = inputs.mT @ scores @ inputs
        learner = learner - asked.mT @ read
        read = read + moments @ (asked.mT @ read)
        inputs = inputs + spread @ (inputs @ (moments @ asked))
    return learner


def train_stacks(
    seeds: Sequence[int], *, layers: int, demonstrations: int, inputs: int, noise: float = 0.0, how: Training
) -> Float[Tensor, "seeds layers 2 inputs inputs"]:
    """Stacks with all A and B free, each trained from a small random start on its own tasks, side by side.

    Args:
        seeds: of the stacks.
        layers: of each stack.
        demonstrations: n of each task.
        inputs: of each task.
        noise: variance of the targets' noise.
        how: the training; it draws `tasks` tasks for each stack.

    >>> how = Training(steps=1, tasks=2)
    >>> tuple(train_stacks([0, 1, 2], layers=2, demonstrations=3, inputs=1, how=how).shape)
    (3, 2, 2, 1, 1)
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def of_fresh_tasks(weights: training.Weights) -> training.Loss:
        drawn = [
            draw_moments(how.tasks, demonstrations=demonstrations, inputs=inputs, generator=one) for one in generators
        ]
        moments = torch.stack(drawn)
        return loss(stack(moments, weights), moments, noise / demonstrations).mean(-1).sum()

    start = [training.initial(how, layers, 2, inputs, inputs, generator=generator) for generator in generators]
    return training.trained(torch.stack(start), of_fresh_tasks, how)


def loss(learner: Learner, moments: Moments, noise: float = 0.0) -> Float[Tensor, "*batch"]:
    """E |w - K m|^2, the squared error of a prediction: |I - K S|^2 + noise tr(K S K^T).

    Args:
        learner: K.
        moments: S.
        noise: variance of the targets' noise, divided by the number of demonstrations.

    >>> loss(torch.tensor([[0.25]]), torch.tensor([[2.0]]), noise=0.5).item()  # 0.5^2 + 0.5 * 0.0625 * 2
    0.3125
    """
    missed = _identity(moments) - learner @ moments
    return missed.square().sum((-2, -1)) + noise * (learner @ moments * learner).sum((-2, -1))


def distance(one: Learner, other: Learner, moments: Moments, noise: float = 0.0) -> Float[Tensor, "*batch"]:
    """E |K1 m - K2 m|^2, the squared difference of two learners' predictions and of their weights.

    Both are one number for queries x ~ N(0, I).

    Source: Akyürek et al. 2023, section 4.3, SPD and ILWD.

    >>> distance(torch.tensor([[0.25]]), torch.tensor([[0.75]]), torch.tensor([[2.0]]), noise=0.5).item()
    1.25
    """
    apart = one - other
    return (apart @ moments).square().sum((-2, -1)) + noise * (apart @ moments * apart).sum((-2, -1))


def _identity(moments: Tensor) -> Tensor:
    return torch.eye(moments.shape[-1]).to(moments).expand_as(moments)
