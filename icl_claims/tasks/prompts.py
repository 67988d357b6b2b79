"""From examples to token ids: what a trial says to a model, demonstrations and queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Self

import numpy as np

from icl_claims.errors import PromptError, UsageError
from icl_claims.protocol import Protocol
from icl_claims.tasks.catalogue import Task
from icl_claims.tasks.encoding import FILLERS, Encoder, label_tokens, separator_tokens
from icl_claims.tasks.examples import Draw, TaskData, draw_demonstrations, draw_queries, orders


@dataclass(frozen=True)
class Demonstrations:
    """What a method learns from, as token ids.

    Args:
        bos: opens the context, and every sequence that is stepped on.
        separator: tokens that end a demonstration in the context.
        templates: tokens of every demonstration without bos and label, in the order in which they were drawn.
        labels: class index of each of them.
        label_ids: the token of each class's verbalizer.
        context_order: indices of those that in-context learning is shown, in its order.
        learning_order: indices of those that finetuning steps on, in its order.
        protocol: readings that a method follows in what its own parameters leave open.
        seed: that of their draw, from which a method draws, too.

    Raises:
        UsageError: not one label for every template, or a label of no class.
    """

    bos: int
    separator: tuple[int, ...]
    templates: tuple[tuple[int, ...], ...]
    labels: tuple[int, ...]
    label_ids: tuple[int, ...]
    context_order: tuple[int, ...]
    learning_order: tuple[int, ...]
    protocol: Protocol = Protocol()
    seed: int = 0

    def __post_init__(self) -> None:
        classes = len(self.label_ids)
        if len(self.labels) != len(self.templates) or not all(0 <= label < classes for label in self.labels):
            wanted = f"{len(self.templates)} of 0 to {classes - 1}"
            raise UsageError("The labels of the demonstrations do not fit", expected=wanted, got=str(self.labels))

    @classmethod
    def from_rows(cls, bos: int, separator: int, rows: Sequence[Sequence[int]]) -> Self:
        """Demonstrations that are token ids already, the label last, all shown and stepped on in this order."""
        label_ids = tuple(sorted({row[-1] for row in rows}))
        labels, everyone = tuple(label_ids.index(row[-1]) for row in rows), tuple(range(len(rows)))
        return cls(bos, (separator,), tuple(tuple(row[:-1]) for row in rows), labels, label_ids, everyone, everyone)

    @property
    def context(self) -> tuple[int, ...]:
        """bos, then each shown demonstration and a separator: what in-context learning reads."""
        shown = (token for index in self.context_order for token in (*self._written(index), *self.separator))
        return (self.bos, *shown)

    @property
    def shown(self) -> int:
        """How many demonstrations lie in the context."""
        return len(self.context_order)

    @property
    def spans(self) -> tuple[range, ...]:
        """Where in the context each shown demonstration lies, without its separator."""
        between = len(self.separator)
        ends = accumulate((len(self._written(index)) + between for index in self.context_order), initial=1)
        return tuple(range(start, end - between) for start, end in pairwise(ends))

    @property
    def sequences(self) -> tuple[tuple[int, ...], ...]:
        """bos, template and label of every demonstration that finetuning steps on, one at a time."""
        return tuple((self.bos, *self._written(index)) for index in self.learning_order)

    def relabelled(self, labels: Sequence[int]) -> Self:
        """The same texts with other labels (class indices), in the order in which they were drawn.

        Raises:
            UsageError: not one label for every text, or a label of no class.
        """
        return replace(self, labels=tuple(labels))

    def reordered(self, order_seed: int) -> Self:
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


@dataclass(frozen=True)
class Queries:
    """What a method answers, as token ids.

    Args:
        rows: the queries without bos.
        label_ids: the token of each label's verbalizer.
        answer_at: column whose next token is the answer, from the end of a row.
        probe_at: column where attention is looked at, from the end of a row.
        paraphrased: the same queries in the words of their task's second template, without bos; none where there is no
            such template.
    """

    rows: tuple[tuple[int, ...], ...]
    label_ids: tuple[int, ...]
    answer_at: int
    probe_at: int
    paraphrased: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def some(self, chosen: Sequence[int]) -> Self:
        """The chosen queries, in the given order."""
        paraphrased = tuple(self.paraphrased[i] for i in chosen) if self.paraphrased else ()
        return replace(self, rows=tuple(self.rows[i] for i in chosen), paraphrased=paraphrased)

    def in_other_words(self) -> Self:
        """The same queries as their task's second template asks them.

        Raises:
            PromptError: there is none.
        """
        if len(self.paraphrased) != len(self.rows):
            raise PromptError("The queries are not written in other words", expected="a paraphrase of each")
        return replace(self, rows=self.paraphrased)


@dataclass(frozen=True)
class Prompts:
    """All that one trial says to a model.

    Args:
        demonstration_rows: rows in the training file of those that finetuning steps on, in its order.
        query_rows: their rows in the evaluation file.
        content_free: queries without content, for contextual calibration.
    """

    bos: int
    demonstrations: Demonstrations
    demonstration_rows: tuple[int, ...]
    queries: Queries
    query_rows: tuple[int, ...]
    gold: tuple[int, ...]
    content_free: Queries


def build_prompts(
    data: TaskData, encoder: Encoder, draw: Draw, protocol: Protocol = Protocol(), *, context_length: int
) -> Prompts:
    """Draw demonstrations and queries, and write them as token ids.

    A demonstration is added to the context only while the longest query of the whole evaluation set still fits behind
    it; the first that does not fit ends the context, of so many tokens. Finetuning sees all k, unless the protocol says
    otherwise; it also says in which order, what separates demonstrations, where attention is looked at, and whether
    queries without content are asked.

    Raises:
        PromptError: not even one demonstration fits, or a verbalizer is not one token that the vocabulary knows.
        UsageError: k, queries or permutation out of range.
    """
    task, data = data.task, data.for_trial(draw.seed)
    labels = label_tokens(task, encoder)
    own = draw.seed if protocol.query_draw == "own" else None
    asked, drawn = draw_queries(data.validation, draw.queries, own), draw_demonstrations(data.train, draw.k, draw.seed)
    longest_query = 2 + max(len(encoder.encode(task.prompt(e.fields))) for e in draw_queries(data.validation, None))
    templates = tuple(encoder.encode(task.prompt(example.fields)) for example in drawn)
    separator = separator_tokens(task, encoder, protocol.separator)
    written_tokens = [len(template) + 1 + len(separator) for template in templates]  # each with its label
    context_order, learning_order = _orders_of(task, draw, protocol, written_tokens, longest_query, context_length)
    appended = labels[:1] if protocol.probe == "label_token" else ()

    def written(examples: Sequence[Mapping[str, str]]) -> Queries:
        rows, paraphrased = (
            tuple(encoder.encode(write(fields)) + appended for fields in examples)
            for write in (task.prompt, task.paraphrased)
        )
        return Queries(rows, labels, answer_at=-1 - len(appended), probe_at=-1, paraphrased=paraphrased)

    fillers = FILLERS if protocol.calibration == "contextual" else ()
    return Prompts(
        bos=encoder.bos,
        demonstrations=Demonstrations(
            bos=encoder.bos,
            separator=separator,
            templates=templates,
            labels=tuple(example.label for example in drawn),
            label_ids=labels,
            context_order=context_order,
            learning_order=learning_order,
            protocol=protocol,
            seed=draw.seed,
        ),
        demonstration_rows=tuple(drawn[i].row for i in learning_order),
        queries=written([example.fields for example in asked]),
        query_rows=tuple(example.row for example in asked),
        gold=tuple(example.label for example in asked),
        content_free=written([dict.fromkeys(task.fields, filler) for filler in fillers]),
    )


def _orders_of(
    task: Task, draw: Draw, protocol: Protocol, written_tokens: Sequence[int], longest_query: int, room: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The demonstrations that the context holds, and those that finetuning steps on, each in its order."""
    for_context, for_finetuning = orders(draw.k, draw.seed, draw.permutation)
    behind_bos = accumulate(written_tokens[i] for i in for_context)
    context_order = for_context[: sum(1 + end + longest_query < room for end in behind_bos)]
    if not context_order:
        raise PromptError(
            f"Not one demonstration of {task.title} fits the context",
            expected=f"a prompt under {room} tokens",
            got=f"{1 + written_tokens[for_context[0]] + longest_query} for one demonstration and the longest query",
            todo="Use a model with a longer context, or leave this task out of ⟨tasks⟩.",
        )
    learning_order = for_finetuning if protocol.order == "authors" else for_context
    if protocol.truncation == "both":
        learning_order = tuple(i for i in learning_order if i in context_order)
    return context_order, learning_order
