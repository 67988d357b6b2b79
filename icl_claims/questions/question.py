"""A question: how quantities compare. Frozen, joined by `&`, denied by `~`; evidence answers it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Self

from icl_claims.errors import ClaimError
from icl_claims.questions.quantity import Quantity, Side


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a claim asks of every task.

    >>> from icl_claims import Finetuning, LayerCausal, sim_am, sim_aou
    >>> outputs = sim_aou(LayerCausal()) > sim_aou(Finetuning())
    >>> scores = sim_am(LayerCausal()) > sim_am(Finetuning())
    >>> both = (outputs & ~scores).on("subj")
    >>> both.tasks, len(both.quantities)
    (('subj',), 4)

    Args:
        tasks: Names of the tasks it is asked of; None for the papers' six.
        confidence: Confidence of each task's interval, higher where a claim looks for one task among several; None
            for the usual one.
        optional: Whether it is left out where a source cannot answer it.
    """

    tasks: tuple[str, ...] | None = None
    confidence: float | None = None
    optional: bool = False

    def __and__(self, other: Question) -> Joint:
        if self.tasks != other.tasks:
            todo = "Narrow the joint question: (one & other).on(...)."
            raise ClaimError("Questions about different tasks cannot be joined", got=f"{self} & {other}", todo=todo)
        return Joint((*self.conjuncts, *other.conjuncts), tasks=self.tasks)

    def __invert__(self) -> Denied:
        return Denied(self, tasks=self.tasks, optional=self.optional)

    def __bool__(self) -> NoReturn:
        raise ClaimError(
            "A question has no truth value of its own",
            got=str(self),
            todo="Ask evidence: evidence.ask(question). Questions are joined with & and denied with ~.",
        )

    @property
    def conjuncts(self) -> tuple[Question, ...]:
        """The questions that must all hold."""
        return (self,)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """Every quantity in it, in the order of the sentence."""
        return tuple(side for question in self.leaves() for side in question.sides if isinstance(side, Quantity))

    def leaves(self) -> Iterator[Compared | Near]:
        """The comparisons that it is made of."""
        raise NotImplementedError

    def on(self, *tasks: str) -> Self:
        """The same question, asked of these tasks only."""
        return self._changed(tasks=tasks)

    def with_confidence(self, confidence: float) -> Self:
        """The same question, each task's interval having this confidence."""
        return self._changed(confidence=confidence)

    def _changed(self, **fields: Any) -> Self:
        """The same with other tasks or another confidence, also within it."""
        return replace(self, **fields)

    @property
    def where_known(self) -> Self:
        """The same question, left out where a source cannot answer it."""
        return replace(self, optional=True)


@dataclass(frozen=True)
class _Two(Question):
    left: Quantity
    right: Side

    @property
    def sides(self) -> tuple[Quantity, Side]:
        """Both sides, the one that the claim is about first."""
        return self.left, self.right


@dataclass(frozen=True)
class Compared(_Two):
    """Whether a quantity lies above, or below, another quantity or a number.

    Args:
        left: The quantity that the claim is about.
        right: What it is held against.
        upwards: Whether it should lie above.
    """

    upwards: bool = True

    def __str__(self) -> str:
        side = self.right if isinstance(self.right, Quantity) else f"{self.right:g}"
        return f"{self.left} {'above' if self.upwards else 'below'} {side}"

    def leaves(self) -> Iterator[Compared | Near]:
        """The comparison itself."""
        yield self


@dataclass(frozen=True)
class Near(_Two):
    """Whether a quantity is as large as another, give or take a share of the other.

    Args:
        left: The quantity that the claim is about.
        right: What it should equal.
        within: The allowed difference, as a share of the right side's mean on a task.
    """

    within: float = 0.0

    def __str__(self) -> str:
        return f"{self.left} equals {self.right}, give or take {self.within:.0%}"

    def leaves(self) -> Iterator[Compared | Near]:
        """The comparison itself."""
        yield self


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

    def leaves(self) -> Iterator[Compared | Near]:
        """The comparisons of all its parts."""
        for part in self.parts:
            yield from part.leaves()

    def _changed(self, **fields: Any) -> Self:
        return replace(self, **fields, parts=tuple(part._changed(**fields) for part in self.parts))


@dataclass(frozen=True)
class Denied(Question):
    """The opposite of a question: it holds where that fails."""

    question: Question

    def __str__(self) -> str:
        return f"not: {self.question}"

    def leaves(self) -> Iterator[Compared | Near]:
        """The comparisons of what is denied."""
        yield from self.question.leaves()

    def _changed(self, **fields: Any) -> Self:
        return replace(self, **fields, question=self.question._changed(**fields))
