"""The gradient norms that the authors' code logged, as it logged them: mostly a sum over the demonstrations so far."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.methods.descent import gradients_of, masters, next_token_losses, sgd_step, trainable
from icl_claims.methods.layer_causal import block_losses
from icl_claims.models.blocks import as_float, at_least_single
from icl_claims.models.language_model import LanguageModel
from icl_claims.tasks.prompts import Demonstrations


def accumulated_block_gradient_norms(
    model: LanguageModel, demonstrations: Demonstrations, learning_rate: float, *, layer_causal: bool = False
) -> Float[np.ndarray, "steps layers"]:
    """L2 norm, at every step, of what lay in the gradients of all parameters of each block.

    It is not the norm of a gradient. Of a block's parameters only those that are tuned had their gradients cleared
    before each step and divided by the number of tokens; those of the query and output projections, the feed-forward
    network and the norms were of the summed loss, and added up over the demonstrations. So it rises with the number of
    the step, whatever the gradients do; `Learned.gradient_norms` are those of each step's own gradients in K and V.

    Args:
        model: that is finetuned; it stays as it was.
        demonstrations: one a step.
        learning_rate: of every step.
        layer_causal: whether each block learns from its own prediction, or all from the model's.

    Source: the authors' code; drawn over demonstrations in "Rethinking ...", figure 3, and "Understanding ...",
        figure 2.
    """
    blocks = tuple(f"{name}." for name in model.blocks.names)
    fixed = {name: value.detach() for name, value in model.network.named_parameters() if name.startswith(blocks)}
    tuned, weights = {p.name: p for p in model.tuned_parameters}, masters(model.tuned_values())
    left: dict[str, Tensor] = {name: torch.zeros_like(at_least_single(value)) for name, value in fixed.items()}
    norms = []
    for sequence in demonstrations.sequences:
        leaves, tokens = trainable({**fixed, **weights}), len(sequence) - 1
        if layer_causal:
            loss = torch.stack(block_losses(model, leaves, sequence)).sum() * tokens
        else:
            loss = next_token_losses(model.sequence_logits(sequence, leaves), sequence).sum()
        of_step = dict(zip(leaves, gradients_of(loss, list(leaves.values()), model.dtype), strict=True))
        for name, gradient in of_step.items():
            added = gradient - tuned[name].only_tuned(gradient) if name in tuned else gradient
            left[name] = left[name] + at_least_single(added)
        steps = {name: parameter.only_tuned(of_step[name]) / tokens for name, parameter in tuned.items()}
        norms.append([_norm({n: left[n] + steps.get(n, 0.0) for n in left if n.startswith(block)}) for block in blocks])
        weights = sgd_step(model.tuned_parameters, weights, steps.values(), learning_rate)
    return np.array(norms).reshape(len(norms), model.layers)


def _norm(values: dict[str, Tensor]) -> float:
    return math.hypot(*(as_float(torch.linalg.vector_norm(value)) for value in values.values()))
