"""The demonstrations' tokens as a query can attend to them: by the keys that a method gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from icl_claims.metrics.training_attention import shares_of_demonstrations
from icl_claims.models.attention import Keys, Prefix
from icl_claims.models.language_model import LanguageModel, Weights
from icl_claims.tasks.demonstrations import Demonstrations


@dataclass(frozen=True, eq=False)
class TrainingTokens:
    """The tokens of the demonstrations in the context, end to end, without bos and separators.

    Args:
        keys: of these tokens.
        lengths: how many each demonstration has, in the order of the context.
    """

    keys: Keys
    lengths: tuple[int, ...]

    def shares(
        self, scores: Sequence[Float[Tensor, "heads queries tokens"]], device: torch.device
    ) -> Float[Tensor, "layers queries demonstrations"]:
        """The share of attention that each demonstration gets, of every layer.

        Args:
            scores: scaled pre-softmax scores of queries over these tokens, layer by layer and on any device.
            device: where the shares are wanted.
        """
        by_layer = [shares_of_demonstrations(of_layer, self.lengths).to(device) for of_layer in scores]
        return torch.stack(by_layer)


def tokens_in_context(prefix: Prefix, demonstrations: Demonstrations) -> TrainingTokens:
    """The demonstrations as they lie in a prefix, each after those before it.

    Args:
        prefix: the context, read.
        demonstrations: whose context it is.
    """
    spans = demonstrations.spans
    places = torch.tensor([place for span in spans for place in span])
    keys = tuple(of_layer.index_select(1, places.to(of_layer.device)) for of_layer in prefix.keys)
    return TrainingTokens(keys, tuple(map(len, spans)))


def tokens_read_alone(
    model: LanguageModel, opening: Prefix, demonstrations: Demonstrations, weights: Weights
) -> TrainingTokens:
    """The same demonstrations, each read right after bos, where a query stands, too, as if there were no other.

    With rotary positions a key is turned by the position at which it is read: here by that in its own demonstration, in
    the context by that in the context.

    Args:
        model: that reads them.
        opening: bos, read with the weights.
        demonstrations: of which those in the context are read.
        weights: with which the model reads; those that are not among them are as pretrained.

    Source: Dai et al. 2023, attention to training tokens; in the keys' place, their code takes the query vectors that
        the training tokens had while they were stepped on.
    """
    rows = [demonstrations.context[span.start : span.stop] for span in demonstrations.spans]
    return TrainingTokens(model.keys_of(rows, opening, weights), tuple(map(len, rows)))
