"""A quantity: a metric of a method, such as SimAOU of finetuning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from icl_claims.questions.question import Compared, Near

Depth = tuple[float, float]
"""From which share of a model's depth to which, such as (0, 0.5) for the lower half."""
WHOLE_DEPTH: Depth = (0.0, 1.0)
TRAINED = "trained"


@runtime_checkable
class Named(Protocol):
    """A metric, a method or a null: a thing that knows its own name."""

    @property
    def name(self) -> str:
        """Name in tables and files, such as `sim_aou`."""
        ...

    @property
    def title(self) -> str:
        """Name in print, such as SimAOU."""
        ...


@dataclass(frozen=True)
class Quantity:
    """A metric of a method. `>`, `<` and `near` make questions of quantities.

    >>> from icl_claims.methods import Finetuning, LayerCausal
    >>> from icl_claims.metrics import sim_aou
    >>> print(sim_aou(LayerCausal()) > sim_aou(Finetuning()))
    SimAOU of layer-causal finetuning above SimAOU of finetuning

    Args:
        metric: What is measured.
        method: The method that is measured.
        reference: The method it is compared with, where the metric compares; None for in-context learning.
        layers: The layers whose mean is taken.
        weights: `trained`, or what an untrained model keeps of the trained one.
    """

    metric: Named
    method: Named
    reference: Named | None = None
    layers: Depth = WHOLE_DEPTH
    weights: str = TRAINED

    @property
    def name(self) -> str:
        """The quantity in the names of tables: `sim_aou of finetuning`."""
        reference = None if self.reference is None else self.reference.name
        return f"{self.metric.name} of {self._whose(self.method.name, reference)}"

    @property
    def title(self) -> str:
        """The quantity in print: `SimAOU of finetuning`."""
        return f"{self.metric.title} of {self.whose}"

    @property
    def whose(self) -> str:
        """What the metric is of, in print: finetuning."""
        return self._whose(self.method.title, None if self.reference is None else self.reference.title)

    def __str__(self) -> str:
        return self.title

    def __gt__(self, other: Side) -> Compared:
        from icl_claims.questions.question import Compared

        return Compared(self, other, upwards=True)

    def __lt__(self, other: Side) -> Compared:
        from icl_claims.questions.question import Compared

        return Compared(self, other, upwards=False)

    def near(self, other: Quantity, *, within: float) -> Near:
        """Ask whether this quantity is as large as another, give or take a share of the other.

        Args:
            other: What it should equal.
            within: The allowed difference, as a share of the other quantity's mean on a task.
        """
        from icl_claims.questions.question import Near

        return Near(self, other, within=within)

    def at(self, layers: Depth) -> Quantity:
        """The quantity in some of the layers only."""
        return replace(self, layers=layers)

    def of_weights(self, weights: str) -> Quantity:
        """The quantity of a model that keeps only so much of the trained one."""
        return replace(self, weights=weights)

    def _whose(self, method: str, reference: str | None) -> str:
        words = method if reference is None else f"{method} against {reference}"
        if self.layers != WHOLE_DEPTH:
            words += f", from {self.layers[0]:.0%} to {self.layers[1]:.0%} of the depth"
        return words + ("" if self.weights == TRAINED else f" (untrained: keeps {self.weights})")


Side: TypeAlias = Quantity | float
"""What a quantity is held against."""
