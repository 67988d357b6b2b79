"""Noise in the place of what a claim speaks of: if the sentence holds of noise as well, it says nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from icl_claims.claims.comparison import UNTRAINED
from icl_claims.methods import (
    AnotherQuerysUpdate,
    GaussianUpdate,
    Method,
    Null,
    ZeroShot,
    learns_weights,
    nulls_of_method,
)
from icl_claims.metrics import LayerMetric
from icl_claims.questions import TRAINED, Denied, Joint, Near, Quantity, Question, Side, TwoSided


@dataclass(frozen=True, eq=False)
class Noise:
    """One kind of noise.

    Args:
        title: what it is, in print.
        instead: the quantity of the noise, in the place of a claim's own; None where there is no such noise.
    """

    title: str
    instead: Callable[[Quantity], Quantity | None]

    def in_place_of(self, question: Question, *, both: bool = False) -> Question | None:
        """The same question of the noise; None where it takes no place.

        Where one thing is said to be as large as another, the noise stands for the one; else for both.
        """
        match question:
            case Joint(parts=parts):
                tried = (self.in_place_of(part, both=both) for part in parts)
                found = tuple(part for part in tried if part is not None)
                return replace(question, parts=found) if found else None
            case Denied(question=inner):
                denied = self.in_place_of(inner, both=True)
                return None if denied is None else replace(question, question=denied)
            case TwoSided(left=left, right=right):
                mine = self._side(left)
                other = right if isinstance(question, Near) and not both else self._side(right)
                return None if (mine, other) == (left, right) else replace(question, left=mine, right=other)
        return None

    def _side(self, side: Side) -> Any:
        found = self.instead(side) if isinstance(side, Quantity) else None
        return side if found is None else found


def _update(null: Callable[[Method], Null]) -> Callable[[Quantity], Quantity | None]:
    def instead(quantity: Quantity) -> Quantity | None:
        method, metric = quantity.method, quantity.metric
        if not is_similarity(quantity) or not isinstance(method, Method):
            return None
        if getattr(metric, "of_diagnostics", False) or getattr(metric, "of_answers", False):
            return None
        return replace(quantity, method=null(method)) if nulls_of_method(method) else None

    return instead


def _untrained(quantity: Quantity) -> Quantity | None:
    return quantity.of_weights(UNTRAINED) if quantity.weights == TRAINED else None


def _unlearned(quantity: Quantity) -> Quantity | None:
    method = quantity.method
    if not is_similarity(quantity) or not getattr(quantity.metric, "of_diagnostics", False):
        return None
    return replace(quantity, method=ZeroShot()) if isinstance(method, Method) and learns_weights(method) else None


NOISES = (
    Noise("a Gaussian update of equal length", _update(GaussianUpdate)),
    Noise("another query's update", _update(AnotherQuerysUpdate)),
    Noise("an untrained model of the same shape", _untrained),
    Noise("the model before it learned", _unlearned),
)
"""Everything that a claim about similarity is tried against, where it can take its place."""


def is_similarity(quantity: Quantity) -> bool:
    """Whether a quantity compares what a method does inside with what another does."""
    return isinstance(quantity.metric, LayerMetric) and quantity.metric.compares
