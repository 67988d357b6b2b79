"""What a demonstration costs: the cross-entropy of its tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from icl_claims.models.precision import at_least_single
from icl_claims.protocol import Loss


def next_token_losses(
    logits: Float[Tensor, "tokens vocabulary"], ids: Sequence[int]
) -> Float[Tensor, " tokens_after_first"]:
    """Cross-entropy in nats of every token after the first, given those before it."""
    wanted = torch.tensor(list(ids)[1:], device=logits.device)
    return nn.functional.cross_entropy(at_least_single(logits[:-1]), wanted, reduction="none")


def sequence_loss(losses: Tensor, which: Loss) -> Tensor:
    """Mean cross-entropy over all tokens after the first, or of the last token (the label) alone."""
    return losses.mean() if which == "all_tokens" else losses[-1]
