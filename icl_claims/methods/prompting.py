"""Zero-shot and in-context learning: nothing is learned, or a prefix is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from icl_claims.methods.base import Known, Learned
from icl_claims.models.language_model import LanguageModel
from icl_claims.tasks.demonstrations import Demonstrations


@dataclass(frozen=True)
class ZeroShot:
    """Learns nothing: a query is answered after the token that opens every prompt."""

    name: ClassVar[str] = "zero_shot"
    title: ClassVar[str] = "zero-shot"
    learns_weights: ClassVar[bool] = False
    diagnosed: ClassVar[bool] = True

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Read the opening token only."""
        return Learned(model, model.read_prefix([demonstrations.bos]))


@dataclass(frozen=True)
class InContext:
    """Learns a prefix: the keys and values of the demonstrations, read once."""

    name: ClassVar[str] = "in_context"
    title: ClassVar[str] = "in-context learning"
    learns_weights: ClassVar[bool] = False
    diagnosed: ClassVar[bool] = True

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Read the demonstrations that fit into the context."""
        return Learned(model, model.read_prefix(demonstrations.context))
