"""Queries in batches of so many tokens, which are halved where memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from icl_claims.errors import ModelError
from icl_claims.tasks.prompts import Queries

TOKENS_PER_BATCH = 512

Say = Callable[[str], None]


def batches_by_length(
    queries: Queries, tokens: int = TOKENS_PER_BATCH, *, among: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """Indices of queries, shortest first, in batches of at most so many tokens (but at least one query).

    Args:
        queries: all of them.
        tokens: of a batch, at most.
        among: indices of those that are wanted; all by default.
    """
    batch: list[int] = []
    held = 0
    for index in sorted(range(len(queries)) if among is None else among, key=lambda i: len(queries.rows[i])):
        length = len(queries.rows[index])
        if batch and held + length > tokens:
            yield batch
            batch, held = [], 0
        batch.append(index)
        held += length
    if batch:
        yield batch


def for_each_batch(queries: Queries, work: Callable[[list[int]], None], say: Say = lambda _text: None) -> None:
    """Do some work on every batch of queries; where it runs out of memory, it and all later ones are halved.

    Args:
        queries: to be put in batches.
        work: done on the indices of a batch; may be done again on parts of them.
        say: told in a sentence when batches are halved.

    Raises:
        ModelError: a single query does not fit the memory.
    """
    waiting = list(batches_by_length(queries))
    while waiting:
        if not _runs_out_of_memory(work, waiting[0]):
            waiting.pop(0)
            continue
        batch = waiting[0]
        if len(batch) == 1:
            raise out_of_memory(f"a single query of {len(queries.rows[batch[0]])} tokens")
        tokens = sum(len(queries.rows[index]) for index in batch) // 2
        say(f"batch halved to {tokens} tokens: out of memory")
        waiting = list(batches_by_length(queries, tokens, among=[index for batch in waiting for index in batch]))


def out_of_memory(what: str) -> ModelError:
    """The error of work that no smaller batch can help."""
    return ModelError(
        f"The memory of the device is full with {what}",
        todo="Use --claims-dtype bfloat16, fewer demonstrations (--claims-k), or --claims-device spread or cpu.",
    )


def _runs_out_of_memory(work: Callable[[list[int]], None], batch: list[int]) -> bool:
    try:
        work(batch)
    except torch.OutOfMemoryError:
        out = True  # the memory is free only when the error, which holds the tensors of its frames, is gone
    else:
        return False
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return out
