"""From examples to token ids: what a trial says to a model, demonstrations and queries."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from icl_claims.errors import PromptError
from icl_claims.protocol import Protocol
from icl_claims.tasks.catalogue import Task
from icl_claims.tasks.demonstrations import Demonstrations
from icl_claims.tasks.examples import Draw, TaskData, draw_demonstrations, draw_queries, orders

FILLERS = ("N/A", "[MASK]", "")
"""What stands in the queries without content of contextual calibration (Zhao et al. 2021, section 5)."""


class Encoder(typing.Protocol):
    """Turns text into token ids, and knows the two special tokens of a prompt."""

    @property
    def bos(self) -> int:
        """Opens every prompt."""
        ...

    @property
    def separator(self) -> int:
        """Ends a demonstration."""
        ...

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, without special tokens."""
        ...


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

    def some(self, chosen: Sequence[int]) -> Queries:
        """The chosen queries, in the given order."""
        paraphrased = tuple(self.paraphrased[i] for i in chosen) if self.paraphrased else ()
        return replace(self, rows=tuple(self.rows[i] for i in chosen), paraphrased=paraphrased)

    def in_other_words(self) -> Queries:
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


def label_tokens(task: Task, encoder: Encoder) -> tuple[int, ...]:
    """The token of each verbalizer with a blank before it.

    Raises:
        PromptError: a verbalizer is not one token for this model, or two share one.
    """
    ids = []
    for word in task.verbalizers:
        pieces = encoder.encode(f" {word}")
        if len(pieces) != 1:
            raise PromptError(
                f"The verbalizer {word!r} of {task.title} is not one token for this model",
                expected="1 token",
                got=f"{len(pieces)}",
                todo="Leave this task out of ⟨tasks⟩, or use a model with a larger vocabulary.",
            )
        ids.append(pieces[0])
    if len(set(ids)) != len(ids):
        raise PromptError(f"Two verbalizers of {task.title} are the same token for this model", got=str(ids))
    return tuple(ids)


def build_prompts(
    data: TaskData, encoder: Encoder, draw: Draw, protocol: Protocol = Protocol(), *, context_length: int
) -> Prompts:
    """Draw demonstrations and queries, and write them as token ids.

    A demonstration is added to the context only while the longest query of the whole evaluation set still fits behind
    it; the first that does not fit ends the context. Finetuning sees all k, unless the protocol says otherwise.

    Args:
        data: examples of the task.
        encoder: encoder of the model.
        draw: which of them are demonstrations and queries.
        protocol: where attention is looked at, who loses demonstrations that do not fit, in which order finetuning sees
            them, and whether queries without content are asked.
        context_length: number of tokens that the model reads.

    Raises:
        PromptError: not even one demonstration fits, or a verbalizer is not one token.
        UsageError: k, queries or permutation out of range.
    """
    task, data = data.task, data.for_trial(draw.seed)
    labels = label_tokens(task, encoder)
    asked, drawn = draw_queries(data.validation, draw.queries), draw_demonstrations(data.train, draw.k, draw.seed)
    longest_query = 2 + max(len(encoder.encode(task.prompt(e.fields))) for e in draw_queries(data.validation, None))
    templates = tuple(encoder.encode(task.prompt(example.fields)) for example in drawn)
    context_order, learning_order = _orders_of(task, draw, protocol, templates, longest_query, context_length)
    fillers = FILLERS if protocol.calibration == "contextual" else ()
    return Prompts(
        bos=encoder.bos,
        demonstrations=Demonstrations(
            bos=encoder.bos,
            separator=encoder.separator,
            templates=templates,
            labels=tuple(example.label for example in drawn),
            label_ids=labels,
            context_order=context_order,
            learning_order=learning_order,
            protocol=protocol,
        ),
        demonstration_rows=tuple(drawn[i].row for i in learning_order),
        queries=_written(task, encoder, labels, protocol, [example.fields for example in asked]),
        query_rows=tuple(example.row for example in asked),
        gold=tuple(example.label for example in asked),
        content_free=_written(
            task, encoder, labels, protocol, [dict.fromkeys(task.fields, filler) for filler in fillers]
        ),
    )


def _orders_of(
    task: Task, draw: Draw, protocol: Protocol, templates: Sequence[Sequence[int]], longest_query: int, room: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The demonstrations that the context holds, and those that finetuning steps on, each in its order."""
    for_context, for_finetuning = orders(draw.k, draw.seed, draw.permutation)
    shown = _those_that_fit([len(templates[i]) for i in for_context], longest_query, room)
    if shown == 0:
        raise PromptError(
            f"Not one demonstration of {task.title} fits the context",
            expected=f"a prompt under {room} tokens",
            got=f"{3 + len(templates[for_context[0]]) + longest_query} for one demonstration and the longest query",
            todo="Use a model with a longer context, or leave this task out of ⟨tasks⟩.",
        )
    context_order = for_context[:shown]
    learning_order = for_finetuning if protocol.order == "authors" else for_context
    if protocol.truncation == "both":
        learning_order = tuple(i for i in learning_order if i in context_order)
    return context_order, learning_order


def _written(
    task: Task, encoder: Encoder, labels: tuple[int, ...], protocol: Protocol, examples: Sequence[Mapping[str, str]]
) -> Queries:
    appended = labels[:1] if protocol.probe == "label_token" else ()
    rows, paraphrased = (
        tuple(encoder.encode(write(fields)) + appended for fields in examples)
        for write in (task.prompt, task.paraphrased)
    )
    return Queries(rows, labels, answer_at=-1 - len(appended), probe_at=-1, paraphrased=paraphrased)


def _those_that_fit(templates: Sequence[int], longest_query: int, context_length: int) -> int:
    """How many demonstrations, of templates of so many tokens, fit before the first that does not."""
    context = 1
    for shown, template in enumerate(templates):
        demonstration = template + 2  # its label and the separator
        if context + demonstration + longest_query >= context_length:
            return shown
        context += demonstration
    return len(templates)
