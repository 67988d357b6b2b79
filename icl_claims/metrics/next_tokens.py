"""Whether two methods find the same tokens probable, whatever the labels are."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from icl_claims.metrics.metric import LayerMetric, metric

LIKELIEST = 10
"""How many tokens of each distribution are kept."""


def likeliest_tokens(logits: Float[Tensor, "queries vocabulary"]) -> Int[Tensor, "queries tokens"]:
    """The ten tokens with the largest logits, the largest first; all where the vocabulary is smaller.

    >>> likeliest_tokens(torch.tensor([[0.1, 0.3, 0.2]])).tolist()
    [[1, 2, 0]]
    """
    return logits.topk(min(LIKELIEST, logits.shape[-1])).indices


@metric(
    LayerMetric,
    title="overlap of the likeliest tokens",
    bounds=(0.0, 1.0),
    definition="Of the ten tokens that in-context learning finds most probable as its answer, the share that is among "
    "the method's ten. It is of the answer alone, and so has one value a query.",
    formula=r"\tfrac{1}{10}\,|T_\text{ICL} \cap T|",
    source="after Shen et al. 2024, on output distributions; their ten tokens and their weights are as reported",
    takes=lambda found: {"in_context": found.reference.likeliest, "other": found.answer.likeliest},
    needs=frozenset({"tokens"}),
    drawn_by_layer=False,
)
def token_overlap(
    in_context: Int[Tensor, "queries tokens"], other: Int[Tensor, "queries tokens"]
) -> Float[Tensor, "queries 1"]:
    """The share of tokens that both sets hold.

    Args:
        in_context: different tokens of each query, the likeliest with demonstrations in the context.
        other: as many of the method compared with it.

    >>> token_overlap.values(torch.tensor([[4, 5]]), torch.tensor([[5, 6]])).tolist()
    [[0.5]]
    """
    found = (in_context[:, :, None] == other[:, None, :]).any(dim=2)
    return found.to(torch.float32).mean(dim=1, keepdim=True)
