"""Softmax heads trained to do linear regression in context, on the tasks of `in_context_regression`.

A query token (x, 0) gets the sum over heads of P V softmax(K^T q), over its demonstrations, and is read out as from
linear self-attention: minus its target part.

Source: von Oswald et al. 2023, section 2 (softmax self-attention) and the appendix with figure 12.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.theory import in_context_regression as regression
from icl_claims.theory import training
from icl_claims.theory.in_context_regression import PerTask, Tasks
from icl_claims.theory.training import Training

HeadMatrices = Float[Tensor, "heads 4 width width"]
"""W_K, W_Q, W_V and P of every head."""


def predict(heads: HeadMatrices, tasks: Tasks) -> PerTask:
    """The answer of softmax heads to the query of each task.

    >>> tasks = Tasks(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[3.0]]), torch.tensor([6.0]))
    >>> predict(torch.eye(2).expand(1, 4, 2, 2), tasks).tolist()  # one demonstration has all weight: -2
    [-2.0]
    """
    key, query, value, projection = heads.unbind(-3)
    asked = tasks.queries @ (key.mT @ query)[..., :-1].mT
    weights = torch.einsum("tnw,htw->htn", tasks.demonstrations, asked).softmax(dim=-1)
    read = tasks.demonstrations @ (projection[..., -1:, :] @ value).mT[:, None]
    return -(weights * read[..., 0]).sum(-1).sum(0)


def loss(heads: HeadMatrices, tasks: Tasks) -> Float[Tensor, ""]:
    """1/2 (prediction - y)^2, the mean over tasks.

    >>> tasks = Tasks(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[3.0]]), torch.tensor([6.0]))
    >>> loss(torch.eye(2).expand(1, 4, 2, 2), tasks).item()
    32.0
    """
    return 0.5 * (predict(heads, tasks) - tasks.answers).square().mean()


def sensitivities(heads: HeadMatrices, tasks: Tasks) -> Float[Tensor, "tasks inputs"]:
    """How each prediction changes with its query, d prediction / d x.

    >>> tasks = Tasks(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[3.0]]), torch.tensor([6.0]))
    >>> sensitivities(torch.eye(2).expand(1, 4, 2, 2), tasks).tolist()
    [[0.0]]
    """
    queries = tasks.queries.detach().requires_grad_()
    predictions = predict(heads, Tasks(tasks.demonstrations, queries, tasks.answers))
    (slopes,) = torch.autograd.grad(predictions.sum(), queries)
    return slopes


def train(seed: int, *, heads: int, demonstrations: int, inputs: int, how: Training) -> HeadMatrices:
    """Heads with all matrices free, trained together from a small random start on inputs x ~ U(-1, 1).

    >>> tuple(train(0, heads=2, demonstrations=2, inputs=1, how=Training(steps=1, tasks=2)).shape)
    (2, 4, 2, 2)
    """
    generator = torch.Generator().manual_seed(seed)

    def of_fresh_tasks(matrices: training.Weights) -> training.Loss:
        tasks = regression.draw(how.tasks, demonstrations=demonstrations, inputs=inputs, generator=generator)
        return loss(matrices, tasks)

    start = training.initial(how, heads, 4, inputs + 1, inputs + 1, generator=generator)
    return training.trained(start, of_fresh_tasks, how)
