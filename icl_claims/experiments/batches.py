"""Queries in batches of so many tokens, which are halved where memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from icl_claims.errors import ModelError
from icl_claims.tasks.prompts import Queries

TOKENS_PER_BATCH = 512
LEAST = 3  # queries that are never parted

Say = Callable[[str], None]


def batches_by_length(
    queries: Queries, tokens: int = TOKENS_PER_BATCH, *, among: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """Indices of queries, shortest first, in batches of at most so many tokens.

    Neighbours in length stay together, two by two (three where the number is odd), however small the batches are: each
    serves as a control of the other.

    Args:
        queries: all of them.
        tokens: of a batch, at most, unless it holds two or three queries.
        among: indices of those that are wanted, none without its neighbour; all by default.
    """
    batch: list[int] = []
    held = 0
    for few in _neighbours(sorted(range(len(queries)) if among is None else among, key=lambda i: len(queries.rows[i]))):
        length = sum(len(queries.rows[index]) for index in few)
        if batch and held + length > tokens:
            yield batch
            batch, held = [], 0
        batch += few
        held += length
    if batch:
        yield batch


def partners_in(batch: Sequence[int]) -> list[int] | None:
    """For each query of a batch, the place of another one in it, the same however queries are put in batches."""
    if len(batch) < 2:
        return None
    return [
        start + (place + 1) % len(few) for start, few in _with_start(_neighbours(batch)) for place in range(len(few))
    ]


class Batches:
    """Queries that wait to be worked on, in batches that are halved where memory runs out.

    Args:
        queries: to be put in batches.
        tokens: of a batch, at most.
        among: indices of those that are wanted, none without its neighbour; all by default.
    """

    def __init__(self, queries: Queries, tokens: int = TOKENS_PER_BATCH, *, among: Sequence[int] | None = None) -> None:
        self.queries, self.tokens = queries, tokens
        self._waiting = list(batches_by_length(queries, tokens, among=among))

    def each(self, work: Callable[[list[int]], None], say: Say = lambda _text: None) -> None:
        """Do some work on every batch; where it runs out of memory, it and all later ones are halved.

        Args:
            work: done on the indices of a batch; may be done again on parts of them.
            say: told in a sentence when batches are halved.

        Raises:
            ModelError: not even the smallest batch fits the memory.
        """
        while self._waiting:
            if not _runs_out_of_memory(work, self._waiting[0]):
                self._waiting.pop(0)
                continue
            batch = self._waiting[0]
            held = sum(len(self.queries.rows[index]) for index in batch)
            if len(batch) <= LEAST:
                raise out_of_memory(f"{len(batch)} queries of {held} tokens in all")
            self.tokens = held // 2
            say(f"batch halved to {self.tokens} tokens: out of memory")
            left = [index for batch in self._waiting for index in batch]
            self._waiting = list(batches_by_length(self.queries, self.tokens, among=left))


def for_each_batch(queries: Queries, work: Callable[[list[int]], None], say: Say = lambda _text: None) -> None:
    """Do some work on every batch of queries; where it runs out of memory, it and all later ones are halved.

    Raises:
        ModelError: not even the smallest batch fits the memory.
    """
    Batches(queries).each(work, say)


def _neighbours(indices: Sequence[int]) -> Iterator[list[int]]:
    """Two by two, and the last three together where the number is odd."""
    pairs = [list(indices[start : start + 2]) for start in range(0, len(indices), 2)]
    if len(pairs) > 1 and len(pairs[-1]) == 1:
        last = pairs.pop()
        pairs[-1] += last
    yield from pairs


def _with_start(groups: Iterator[list[int]]) -> Iterator[tuple[int, list[int]]]:
    start = 0
    for group in groups:
        yield start, group
        start += len(group)


def out_of_memory(what: str) -> ModelError:
    """The error of work that no smaller batch can help."""
    return ModelError(
        f"The memory of the device is full with {what}",
        todo="Use ⟨dtype⟩ bfloat16, fewer demonstrations (⟨k⟩), or ⟨device⟩ spread or cpu.",
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
