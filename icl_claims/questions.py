"""What is asked, as plain data: quantities, and how they compare. Nothing here knows how an answer is found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Protocol, Self, TypeAlias, runtime_checkable

from icl_claims.errors import ClaimError
from icl_claims.statistics.error_rates import Errors

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

    @property
    def title(self) -> str:
        """Name in print, such as SimAOU."""


@dataclass(frozen=True)
class Quantity:
    """A metric of a method. `>`, `<` and `near` make questions of quantities.

    >>> from icl_claims.methods import Finetuning, LayerCausal
    >>> from icl_claims.metrics import sim_aou
    >>> print(sim_aou(LayerCausal()) > sim_aou(Finetuning()))
    SimAOU of layer-causal finetuning above SimAOU of finetuning

    Args:
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
        return Compared(self, other, upwards=True)

    def __lt__(self, other: Side) -> Compared:
        return Compared(self, other, upwards=False)

    def near(self, other: Quantity, *, within: float) -> Near:
        """Ask whether this quantity is as large as another, give or take a share of the other's mean on a task."""
        return Near(self, other, within=within)

    def not_above(self, other: Quantity, *, within: float) -> NotAbove:
        """Ask whether this quantity is not higher than another, which equal ones are not; see `NotAbove`.

        >>> from icl_claims import Finetuning, LayerCausal, sim_am
        >>> print(sim_am(LayerCausal()).not_above(sim_am(Finetuning()), within=0.1))
        SimAM of layer-causal finetuning not above SimAM of finetuning, or by less than 10%
        """
        return NotAbove(self, other, within=within)

    def at(self, layers: Depth) -> Quantity:
        """The quantity in some of the layers only.

        Raises:
            ClaimError: It is no part of the depth.
        """
        if not 0 <= layers[0] < layers[1] <= 1:
            raise ClaimError(
                "No part of a model's depth", expected="two shares from 0 to 1, the lower first", got=str(layers)
            )
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


@dataclass(frozen=True, kw_only=True)
class Question(ABC):
    """What a claim asks of every task.

    >>> from icl_claims import Finetuning, LayerCausal, sim_am, sim_aou
    >>> outputs = sim_aou(LayerCausal()) > sim_aou(Finetuning())
    >>> scores = sim_am(LayerCausal()) > sim_am(Finetuning())
    >>> both = (outputs & ~scores).on("subj")
    >>> both.tasks, len(both.quantities)
    (('subj',), 4)

    Args:
        tasks: Names of the tasks it is asked of; None for the papers' six.
        errors: How often its words may be wrong; None for the usual, 2.5 % on each side.
        optional: Whether it is left out where a source cannot answer it.
        any_model: Whether it is about a metric or a baseline, and so asked of a model that learns nothing, too.
        significantly: Whether the sentence says that a difference is significant, which digits alone cannot show.
    """

    tasks: tuple[str, ...] | None = None
    errors: Errors | None = None
    optional: bool = False
    any_model: bool = False
    significantly: bool = False

    def __and__(self, other: Question) -> Joint:
        if self.tasks != other.tasks:
            todo = "Narrow the joint question: (one & other).on(...)."
            raise ClaimError("Questions about different tasks cannot be joined", got=f"{self} & {other}", todo=todo)
        any_model = self.any_model and other.any_model
        return Joint((*self.conjuncts, *other.conjuncts), tasks=self.tasks, any_model=any_model)

    def __invert__(self) -> Denied:
        return Denied(self, tasks=self.tasks, optional=self.optional, any_model=self.any_model)

    def __bool__(self) -> NoReturn:
        todo = "Ask evidence: evidence.ask(question). Questions are joined with & and denied with ~."
        raise ClaimError("A question has no truth value of its own", got=str(self), todo=todo)

    @property
    def conjuncts(self) -> tuple[Question, ...]:
        """The questions that must all hold."""
        return (self,)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """Every quantity in it, in the order of the sentence."""
        return tuple(side for question in self.leaves() for side in question.sides if isinstance(side, Quantity))

    @abstractmethod
    def leaves(self) -> Iterator[TwoSided]:
        """The comparisons that it is made of."""

    def on(self, *tasks: str) -> Self:
        """The same question, asked of these tasks only."""
        return self._changed(tasks=tasks)

    def allowing(self, errors: Errors) -> Self:
        """The same question, whose words may be wrong so often."""
        return self._changed(errors=errors)

    @property
    def of_any_model(self) -> Self:
        """The same question, asked also of a model that learns nothing in context."""
        return self._changed(any_model=True)

    @property
    def significant(self) -> Self:
        """The same question, where the sentence says that the difference is significant."""
        return self._changed(significantly=True)

    def _changed(self, **fields: Any) -> Self:
        """The same with other fields, also within it."""
        return replace(self, **fields)

    @property
    def where_known(self) -> Self:
        """The same question, left out where a source cannot answer it."""
        return replace(self, optional=True)


@dataclass(frozen=True)
class TwoSided(Question):
    """A question about a quantity, and what it is held against."""

    left: Quantity
    right: Side

    @property
    def sides(self) -> tuple[Quantity, Side]:
        """Both sides, the one that the claim is about first."""
        return self.left, self.right

    def leaves(self) -> Iterator[TwoSided]:
        """The comparison itself."""
        yield self


@dataclass(frozen=True)
class Compared(TwoSided):
    """Whether a quantity lies above, or below, another quantity or a number."""

    upwards: bool = True

    def __str__(self) -> str:
        side = self.right if isinstance(self.right, Quantity) else f"{self.right:g}"
        return f"{self.left} {'above' if self.upwards else 'below'} {side}"


@dataclass(frozen=True)
class Near(TwoSided):
    """Whether a quantity is as large as another, give or take a share of the other's mean on a task."""

    within: float = 0.0

    def __str__(self) -> str:
        return f"{self.left} equals {self.right}, give or take {self.within:.0%}"


@dataclass(frozen=True)
class NotAbove(TwoSided):
    """Whether a quantity is not higher than another: "does not improve", "is not higher".

    `a < b` asks for more, which equal quantities never meet. No number of queries shows that a difference is exactly 0
    or less, so it holds where the quantity is not found to be higher, and would be by less than a share of the other's
    mean on the task; it fails exactly where `a > b` holds.

    Raises:
        ClaimError: The share is not above 0, so that equal quantities would be undecided for ever.
    """

    within: float

    def __post_init__(self) -> None:
        if not self.within > 0:
            wanted = "a share above 0"
            todo = "Say by how much less than the other's mean a difference would not matter."
            raise ClaimError(f"Not even equal quantities are {self}", expected=wanted, got=f"{self.within=}", todo=todo)

    def __str__(self) -> str:
        return f"{self.left} not above {self.right}, or by less than {self.within:.0%}"


@dataclass(frozen=True)
class Joint(Question):
    """Several questions at once: a task holds where all hold, and fails where one fails."""

    parts: tuple[Question, ...]

    @property
    def conjuncts(self) -> tuple[Question, ...]:
        """The questions that must all hold; itself if it may be left out as a whole."""
        return (self,) if self.optional else self.parts

    def __str__(self) -> str:
        return " and ".join(map(str, self.parts))

    def leaves(self) -> Iterator[TwoSided]:
        """The comparisons of all its parts."""
        return (leaf for part in self.parts for leaf in part.leaves())

    def _changed(self, **fields: Any) -> Self:
        inner = {**fields, "errors": fields["errors"].of_part(len(self.parts))} if fields.get("errors") else fields
        return replace(self, **fields, parts=tuple(part._changed(**inner) for part in self.parts))


@dataclass(frozen=True)
class Denied(Question):
    """The opposite of a question: it holds where that fails."""

    question: Question

    def __str__(self) -> str:
        return f"not: {self.question}"

    def leaves(self) -> Iterator[TwoSided]:
        """The comparisons of what is denied."""
        return self.question.leaves()

    def _changed(self, **fields: Any) -> Self:
        inner = {**fields, "errors": fields["errors"].denied} if fields.get("errors") else fields
        return replace(self, **fields, question=self.question._changed(**inner))
