"""Training: the weights of a small model of in-context regression, stepped down its loss.

Every trained claim trains here. A loss draws its own tasks, new ones in every step, or is the loss over all of them
where that has a closed form.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Weights = Float[Tensor, "*shape"]
Loss = Float[Tensor, ""]
Optimiser = Literal["adam", "descent"]
"""Adam with a rate that falls to 0 along a cosine, or gradient descent with a constant rate."""


@dataclass(frozen=True)
class Training:
    """How weights are trained: Adam on fresh tasks in every step, with a rate that falls to 0 along a cosine.

    `spread` is the standard deviation of the initial weights; `tasks` is meant for losses that draw some.
    """

    steps: int = 1500
    tasks: int = 256
    rate: float = 0.01
    spread: float = 0.1
    optimiser: Optimiser = "adam"


def initial(how: Training, *shape: int, generator: torch.Generator) -> Weights:
    """Normal weights of the spread that training begins with, in float64.

    >>> initial(Training(spread=0.0), 1, 2, generator=torch.Generator()).tolist()
    [[0.0, 0.0]]
    """
    return how.spread * torch.randn(*shape, generator=generator, dtype=torch.float64)


def trained(
    start: Weights,
    loss: Callable[[Weights], Loss],
    how: Training,
    watch: Callable[[Weights, float], None] | None = None,
) -> Weights:
    """The weights after training, on one thread.

    Args:
        start: where training begins; not changed.
        loss: what is minimised. It is asked once in every step.
        how: optimiser, steps and rate.
        watch: gets the weights and the loss before every step; the weights move on, so it copies what it keeps.

    >>> half = Training(steps=1, rate=0.5, optimiser="descent")
    >>> trained(torch.tensor([1.0, 2.0]), lambda w: 0.5 * w.square().sum(), half).tolist()
    [0.5, 1.0]
    """
    weights = start.clone().requires_grad_()
    optimizer, schedule = _optimiser(weights, how)
    with _one_thread():
        for _ in range(how.steps):
            value = loss(weights)
            (weights.grad,) = torch.autograd.grad(value, weights)
            if watch is not None:
                watch(weights.detach(), value.item())
            optimizer.step()
            schedule.step()
    return weights.detach()


def _optimiser(weights: Tensor, how: Training) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    if how.optimiser == "descent":
        descent = torch.optim.SGD([weights], lr=how.rate)
        return descent, torch.optim.lr_scheduler.ConstantLR(descent, factor=1.0, total_iters=0)
    adam = torch.optim.Adam([weights], lr=how.rate, fused=True)
    return adam, torch.optim.lr_scheduler.CosineAnnealingLR(adam, how.steps)


@contextmanager
def _one_thread() -> Iterator[None]:
    # Matrices this small take several times longer on several threads than on one.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
