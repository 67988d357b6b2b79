"""From examples to token ids: demonstrations, the context that in-context learning reads, and the queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from icl_claims.errors import PromptError
from icl_claims.tasks.catalogue import Task
from icl_claims.tasks.draw import draw_demonstrations, draw_queries, orders
from icl_claims.tasks.examples import Example, TaskData

ProbePosition = Literal["label_token", "template_end"]
"""Where attention is looked at: label 0's verbalizer appended (the authors' code), or the template's last token."""


class Encoder(Protocol):
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
class Demonstrations:
    """What a method learns from, as token ids.

    Args:
        context: bos, then each demonstration and a separator: what in-context learning reads.
        shown: how many demonstrations fit into the context.
        sequences: bos, template and label of every demonstration: what finetuning steps on, one at a time.
    """

    context: tuple[int, ...]
    shown: int
    sequences: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Queries:
    """What a method answers, as token ids.

    Args:
        rows: the queries without bos.
        label_ids: the token of each label's verbalizer.
        answer_at: column whose next token is the answer, from the end of a row.
        probe_at: column where attention is looked at, from the end of a row.
    """

    rows: tuple[tuple[int, ...], ...]
    label_ids: tuple[int, ...]
    answer_at: int
    probe_at: int

    def __len__(self) -> int:
        return len(self.rows)

    def some(self, chosen: Sequence[int]) -> Queries:
        """The chosen queries, in the given order."""
        return Queries(tuple(self.rows[i] for i in chosen), self.label_ids, self.answer_at, self.probe_at)


@dataclass(frozen=True)
class Prompts:
    """All that one trial says to a model.

    Args:
        bos: the token that opens a prompt.
        demonstrations: what is learned from.
        demonstration_rows: their rows in the training file, in the order that finetuning sees.
        queries: what is asked.
        query_rows: their rows in the evaluation file.
        gold: their labels.
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
                todo="Leave this task out with --claims-tasks, or use a model with a larger vocabulary.",
            )
        ids.append(pieces[0])
    if len(set(ids)) != len(ids):
        raise PromptError(f"Two verbalizers of {task.title} are the same token for this model", got=str(ids))
    return tuple(ids)


def build_prompts(
    data: TaskData,
    encoder: Encoder,
    *,
    k: int,
    seed: int,
    permutation: int,
    queries: int | None,
    context_length: int,
    probe: ProbePosition = "label_token",
    fillers: tuple[str, ...] = (),
) -> Prompts:
    """Draw demonstrations and queries, and write them as token ids.

    A demonstration is added to the context only while the longest query of the whole evaluation set still fits behind
    it; the first that does not fit ends the context. Finetuning always sees all k.

    Raises:
        PromptError: not even one demonstration fits, or a verbalizer is not one token.
        UsageError: k, queries or permutation out of range.
    """
    task = data.task
    data = data.for_trial(seed)
    labels = label_tokens(task, encoder)
    asked = draw_queries(data.validation, queries)
    drawn = draw_demonstrations(data.train, k, seed)
    for_context, for_finetuning = orders(k, seed, permutation)

    def written(example: Example) -> tuple[int, ...]:
        return encoder.encode(task.prompt(example.fields))

    appended = (labels[0],) if probe == "label_token" else ()
    rows = tuple(written(example) + appended for example in asked)
    longest_query = 2 + max(len(written(example)) for example in draw_queries(data.validation, None))
    sequences = tuple((encoder.bos, *written(example), labels[example.label]) for example in drawn)
    context: list[int] = [encoder.bos]
    shown = 0
    for index in for_context:
        demonstration = (*sequences[index][1:], encoder.separator)
        if len(context) + len(demonstration) + longest_query >= context_length:
            break
        context += demonstration
        shown += 1
    if shown == 0:
        raise PromptError(
            f"Not one demonstration of {task.title} fits the context",
            expected=f"a prompt under {context_length} tokens",
            got=f"{1 + len(sequences[for_context[0]]) + longest_query} for one demonstration and the longest query",
            todo="Use a model with a longer context, or leave this task out with --claims-tasks.",
        )

    def ask(texts: tuple[tuple[int, ...], ...]) -> Queries:
        return Queries(texts, labels, answer_at=-1 - len(appended), probe_at=-1)

    return Prompts(
        bos=encoder.bos,
        demonstrations=Demonstrations(tuple(context), shown, tuple(sequences[i] for i in for_finetuning)),
        demonstration_rows=tuple(drawn[i].row for i in for_finetuning),
        queries=ask(rows),
        query_rows=tuple(example.row for example in asked),
        gold=tuple(example.label for example in asked),
        content_free=ask(tuple(encoder.encode(task.content_free(filler)) + appended for filler in fillers)),
    )
