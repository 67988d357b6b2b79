"""A linear self-attention layer trained to do linear regression in context, and the layer that it is compared with.

Every task has its own w ~ N(0, I), inputs x ~ U(-1, 1) or N(0, 1), and targets y = w^T x. The layer sees demonstrations
(x_j, y_j) and one query token (x, 0), so that the constructed layer that it is compared with starts from W0 = 0.

Source: von Oswald et al. 2023, section 3.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory import linear_self_attention as attention
from icl_claims.theory import training
from icl_claims.theory.linear_self_attention import LinearSelfAttention
from icl_claims.theory.training import Loss, Weights
from icl_claims.theory.training import Training as Training

Inputs = Literal["uniform", "normal"]
"""The distribution of every coordinate of x: U(-1, 1) or N(0, 1)."""
PerTask = Float[Tensor, " tasks"]


@dataclass(frozen=True)
class Tasks:
    """Regression tasks.

    Args:
        demonstrations: tokens (x_j, y_j), of shape (tasks, demonstrations, inputs + 1).
        queries: inputs x, of shape (tasks, inputs).
        answers: targets of the queries, of shape (tasks).
    """

    demonstrations: Tensor
    queries: Tensor
    answers: Tensor

    @property
    def inputs(self) -> int:
        """Number of inputs of a task."""
        return self.queries.shape[-1]


def draw(
    tasks: int, *, demonstrations: int, inputs: int, generator: torch.Generator, kind: Inputs = "uniform"
) -> Tasks:
    """Random tasks.

    >>> tasks = draw(4, demonstrations=3, inputs=2, generator=torch.Generator().manual_seed(0))
    >>> tuple(tasks.demonstrations.shape), tuple(tasks.queries.shape)
    ((4, 3, 3), (4, 2))
    """
    shape = (tasks, demonstrations + 1, inputs)
    if kind == "uniform":
        x = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
    else:
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
    w = torch.randn(tasks, inputs, 1, generator=generator, dtype=torch.float64)
    tokens = attention.demonstration_tokens(x, x @ w)
    return Tasks(tokens[:, :-1], x[:, -1], tokens[:, -1, -1])


def predict(layer: LinearSelfAttention, tasks: Tasks) -> PerTask:
    """The answer of a layer to the query of each task.

    >>> tasks = Tasks(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[3.0]]), torch.tensor([6.0]))
    >>> predict(constructed(tasks, 1.0), tasks).tolist()
    [6.0]
    """
    nothing = tasks.queries.new_zeros(1, tasks.inputs)
    tokens = attention.query_tokens(nothing, tasks.queries[:, None])
    return attention.answers(attention.attend_linearly(layer, tasks.demonstrations, tokens), tasks.inputs)[:, 0, 0]


def loss(layer: LinearSelfAttention, tasks: Tasks) -> Float[Tensor, ""]:
    """1/2 (prediction - y)^2, the mean over tasks.

    >>> tasks = Tasks(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[3.0]]), torch.tensor([6.0]))
    >>> loss(constructed(tasks, 0.5), tasks).item()  # (3 - 6)^2 / 2
    4.5
    """
    return 0.5 * (predict(layer, tasks) - tasks.answers).square().mean()


def sensitivities(layer: LinearSelfAttention, tasks: Tasks) -> Float[Tensor, "tasks inputs"]:
    """How each prediction changes with its query, d prediction / d x: the linear model that the layer has in effect.

    Source: von Oswald et al. 2023, section 3, figure 2.

    >>> tasks = Tasks(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[3.0]]), torch.tensor([6.0]))
    >>> sensitivities(constructed(tasks, 1.0), tasks).tolist()
    [[2.0]]
    """
    queries = tasks.queries.detach().requires_grad_()
    predictions = predict(layer, Tasks(tasks.demonstrations, queries, tasks.answers))
    (slopes,) = torch.autograd.grad(predictions.sum(), queries)
    return slopes


def best_step(tasks: Tasks) -> float:
    """The learning rate with which one gradient step from W0 = 0 has the least mean loss over tasks.

    A prediction is proportional to the rate, so the best one is sum p y / sum p^2, with p the predictions at rate 1.

    >>> best_step(Tasks(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[3.0]]), torch.tensor([6.0])))
    1.0
    """
    predictions = predict(constructed(tasks, 1.0), tasks)
    return float((predictions @ tasks.answers) / (predictions @ predictions))


def constructed(tasks: Tasks, rate: float) -> LinearSelfAttention:
    """The layer that takes one gradient step from W0 = 0 on tasks like these.

    >>> tasks = Tasks(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[3.0]]), torch.tensor([6.0]))
    >>> constructed(tasks, 0.5).projection.tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    nothing = tasks.queries.new_zeros(1, tasks.inputs)
    return attention.construct(nothing, rate, tasks.demonstrations.shape[-2])


def train(seed: int, *, demonstrations: int, inputs: int, kind: Inputs, how: Training) -> LinearSelfAttention:
    """A layer with all four matrices free, trained from a small random start.

    >>> layer = train(0, demonstrations=2, inputs=1, kind="normal", how=Training(steps=1, tasks=2))
    >>> tuple(layer.query.shape)
    (2, 2)
    """
    generator = torch.Generator().manual_seed(seed)

    def of_fresh_tasks(matrices: Weights) -> Loss:
        tasks = draw(how.tasks, demonstrations=demonstrations, inputs=inputs, generator=generator, kind=kind)
        return loss(LinearSelfAttention(*matrices), tasks)

    start = training.initial(how, 4, inputs + 1, inputs + 1, generator=generator)
    return LinearSelfAttention(*training.trained(start, of_fresh_tasks, how))


def average(trained: LinearSelfAttention, constructed: LinearSelfAttention, inputs: int) -> LinearSelfAttention:
    """Half of each, product by product, with the trained layer's two products put on the construction's scale first.

    Only the products P W_V and W_K^T W_Q matter, and only up to a factor that one gives to the other: that factor is
    chosen so that W_K^T W_Q has the mean 1 on its input diagonal, as in the construction.

    Source: von Oswald et al. 2023, section 3, interpolation.

    >>> layers = [LinearSelfAttention(*[torch.eye(2)] * 3, scale * torch.eye(2)) for scale in (1.0, 3.0)]
    >>> average(*layers, inputs=1).value.tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    values, scores = attention.products(trained)
    other_values, other_scores = attention.products(constructed)
    factor = scores.diagonal()[:inputs].mean()
    return attention.from_products((values * factor + other_values) / 2, (scores / factor + other_scores) / 2)
