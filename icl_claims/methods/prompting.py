"""Zero-shot and in-context learning: nothing is learned, or a prefix is."""

from __future__ import annotations

from dataclasses import dataclass

from icl_claims.methods.base import Known, Learned
from icl_claims.models.language_model import LanguageModel
from icl_claims.tasks.demonstrations import Demonstrations


@dataclass(frozen=True)
class ZeroShot:
    """Learns nothing: a query is answered after the token that opens every prompt."""

    name: str = "zero_shot"

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Read the opening token only."""
        return Learned(model, model.read_prefix([demonstrations.bos]))


@dataclass(frozen=True)
class InContext:
    """Learns a prefix: the keys and values of the demonstrations, read once."""

    name: str = "in_context"

    def learn(self, model: LanguageModel, demonstrations: Demonstrations, known: Known | None = None) -> Learned:
        """Read the demonstrations that fit into the context."""
        return Learned(model, model.read_prefix(demonstrations.context))
