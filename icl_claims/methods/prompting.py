"""Zero-shot and in-context learning: nothing is learned, or a prefix is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from icl_claims.methods.base import Known, Learned
from icl_claims.models.language_model import LanguageModel
from icl_claims.tasks.demonstrations import Demonstrations


@dataclass(frozen=True)
class ZeroShot:
    """Learns nothing: a query is answered after the token that opens every prompt.

    >>> ZeroShot().name, ZeroShot().title
    ('zero_shot', 'zero-shot')
    """

    name: ClassVar[str] = "zero_shot"
    title: ClassVar[str] = "zero-shot"
    definition: ClassVar[str] = (
        "The query alone. The label whose word is most probable is the prediction, unless the run calibrates."
    )
    look: ClassVar[int] = 0
    learns_weights: ClassVar[bool] = False
    diagnosed: ClassVar[bool] = True

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Read the opening token only."""
        return Learned(model, model.read_prefix([demonstrations.bos]))


@dataclass(frozen=True)
class InContext:
    """Learns a prefix: the keys and values of the demonstrations, read once.

    >>> from icl_claims.metrics import accuracy
    >>> print(accuracy(InContext()) > accuracy(ZeroShot()))
    accuracy of in-context learning above accuracy of zero-shot
    """

    name: ClassVar[str] = "in_context"
    title: ClassVar[str] = "in-context learning"
    definition: ClassVar[str] = "The demonstrations stand before the query; no weight changes."
    look: ClassVar[int] = 1
    learns_weights: ClassVar[bool] = False
    diagnosed: ClassVar[bool] = True

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Read the demonstrations that fit into the context."""
        return Learned(model, model.read_prefix(demonstrations.context))
