"""Demonstrations as token ids: the context that in-context learning reads, and what finetuning steps on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np

from icl_claims.errors import UsageError
from icl_claims.protocol import Protocol


@dataclass(frozen=True)
class Demonstrations:
    """What a method learns from, as token ids.

    Args:
        bos: opens the context, and every sequence that is stepped on.
        separator: ends a demonstration in the context.
        templates: tokens of every demonstration without bos and label, in the order in which they were drawn.
        labels: class index of each of them.
        label_ids: the token of each class's verbalizer.
        context_order: indices of those that in-context learning is shown, in its order.
        learning_order: indices of those that finetuning steps on, in its order.
        protocol: readings that a method follows in what its own parameters leave open.

    Raises:
        UsageError: not one label for every template, or a label of no class.
    """

    bos: int
    separator: int
    templates: tuple[tuple[int, ...], ...]
    labels: tuple[int, ...]
    label_ids: tuple[int, ...]
    context_order: tuple[int, ...]
    learning_order: tuple[int, ...]
    protocol: Protocol = Protocol()

    def __post_init__(self) -> None:
        classes = len(self.label_ids)
        if len(self.labels) != len(self.templates) or not all(0 <= label < classes for label in self.labels):
            raise UsageError(
                "The labels of the demonstrations do not fit",
                expected=f"{len(self.templates)} of 0 to {classes - 1}",
                got=str(self.labels),
            )

    @classmethod
    def from_rows(cls, bos: int, separator: int, rows: Sequence[Sequence[int]]) -> Demonstrations:
        """Demonstrations that are token ids already, the label last, all shown and stepped on in this order."""
        label_ids = tuple(sorted({row[-1] for row in rows}))
        labels, everyone = tuple(label_ids.index(row[-1]) for row in rows), tuple(range(len(rows)))
        return cls(bos, separator, tuple(tuple(row[:-1]) for row in rows), labels, label_ids, everyone, everyone)

    @property
    def context(self) -> tuple[int, ...]:
        """bos, then each shown demonstration and a separator: what in-context learning reads."""
        shown = (token for index in self.context_order for token in (*self._written(index), self.separator))
        return (self.bos, *shown)

    @property
    def shown(self) -> int:
        """How many demonstrations lie in the context."""
        return len(self.context_order)

    @property
    def spans(self) -> tuple[range, ...]:
        """Where in the context each shown demonstration lies, without its separator."""
        ends = accumulate((len(self._written(index)) + 1 for index in self.context_order), initial=1)
        return tuple(range(start, end - 1) for start, end in pairwise(ends))

    @property
    def sequences(self) -> tuple[tuple[int, ...], ...]:
        """bos, template and label of every demonstration that finetuning steps on, one at a time."""
        return tuple((self.bos, *self._written(index)) for index in self.learning_order)

    def relabelled(self, labels: Sequence[int]) -> Demonstrations:
        """The same texts with other labels (class indices), in the order in which they were drawn.

        Raises:
            UsageError: not one label for every text, or a label of no class.
        """
        return replace(self, labels=tuple(labels))

    def reordered(self, order_seed: int) -> Demonstrations:
        """The same demonstrations in another order, drawn from a seed.

        The same ones are shown, and the same ones are stepped on; those that are both have one order among themselves.
        It is never the order they had in the context, unless there is only one.
        """
        stream = np.random.default_rng(order_seed)
        while True:
            place = stream.permutation(len(self.templates)).tolist()
            context_order, learning_order = (
                tuple(sorted(order, key=place.__getitem__)) for order in (self.context_order, self.learning_order)
            )
            if context_order != self.context_order or len(set(context_order)) < 2:
                return replace(self, context_order=context_order, learning_order=learning_order)

    def _written(self, index: int) -> tuple[int, ...]:
        return (*self.templates[index], self.label_ids[self.labels[index]])
