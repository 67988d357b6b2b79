"""Queries in batches: of as many tokens as fit the memory, and halved where it runs out all the same."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil
import torch

from icl_claims.errors import ModelError
from icl_claims.models import LanguageModel
from icl_claims.models.embedded import Say
from icl_claims.tasks import Prompts, Queries

TOKENS_PER_BATCH = 512
TOKENS_ON_CUDA = 8192
LEAST_TOKENS = 64
LEAST_QUERIES = 3  # that are never parted
SHARE = 0.5  # of the free memory, of which this is only an estimate
PROMPTED = 2  # zero-shot and in-context learning, which are in every trial


class Batches:
    """Queries that wait to be answered, in batches that are halved where memory runs out.

        for batch in batches:
            with batches.halving():
                answers[batch] = learned.answer(queries.some(batch))

    Args:
        queries: all of them.
        tokens: limit of a batch.
        among: indices of the queries that wait, none without its neighbour; all by default.
        say: receives a sentence when batches are halved.

    Raises:
        ModelError: not even the smallest batch fits the memory; raised by the loop.
    """

    def __init__(
        self,
        queries: Queries,
        tokens: int = TOKENS_PER_BATCH,
        *,
        among: Sequence[int] | None = None,
        say: Say = lambda _text: None,
    ) -> None:
        self.queries, self.tokens = queries, tokens
        self._waiting = list(batches_by_length(queries, tokens, among=among))
        self._is_full, self._say = False, say

    def __iter__(self) -> Iterator[list[int]]:
        """Each batch's indices of queries; where one ran out of memory, its parts come next."""
        while self._waiting:
            self._is_full = False
            yield self._waiting[0]
            if self._is_full:
                self._halve()
            else:
                del self._waiting[0]

    @contextmanager
    def halving(self) -> Iterator[None]:
        """Work within that runs out of memory is done again in halves of its batch, and so are all later batches.

        The work calls functions and keeps no tensor in a variable of the loop: the memory is free only when the error,
        which holds the tensors of its frames, is gone; so it is the next turn of the loop that frees it.
        """
        try:
            yield
        except torch.OutOfMemoryError:
            self._is_full = True

    def _halve(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        batch = self._waiting[0]
        held = sum(len(self.queries.rows[index]) for index in batch)
        if len(batch) <= LEAST_QUERIES:
            raise out_of_memory(f"{len(batch)} queries of {held} tokens in all")
        self.tokens = held // 2
        self._say(f"batch halved to {self.tokens} tokens: out of memory")
        left = [index for batch in self._waiting for index in batch]
        self._waiting = list(batches_by_length(self.queries, self.tokens, among=left))


def batches_by_length(
    queries: Queries, tokens: int = TOKENS_PER_BATCH, *, among: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """Indices of queries, shortest first, in batches of at most so many tokens.

    Neighbours in length stay together, two by two (three where the number is odd), however small the batches are: each
    serves as a control of the other.

    Args:
        queries: all of them.
        tokens: limit of a batch, unless it holds only two or three queries.
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
    return [few[(number + 1) % len(few)] for few in _neighbours(range(len(batch))) for number in range(len(few))]


def _neighbours(indices: Sequence[int]) -> Iterator[list[int]]:
    """Two by two, and the last three together where the number is odd."""
    pairs = [list(indices[start : start + 2]) for start in range(0, len(indices), 2)]
    if len(pairs) > 1 and len(pairs[-1]) == 1:
        last = pairs.pop()
        pairs[-1] += last
    yield from pairs


def out_of_memory(what: str) -> ModelError:
    """The error of work that no smaller batch can help."""
    return ModelError(
        f"The memory of the device is full with {what}",
        todo="Use ⟨dtype⟩ bfloat16, fewer demonstrations (⟨k⟩), or ⟨device⟩ spread or cpu.",
    )


def tokens_that_fit(model: LanguageModel, prompts: Prompts, compared: int) -> int:
    """The tokens of a batch of a trial; a power of two times the least, so that little less memory changes nothing.

    Args:
        model: on its device.
        prompts: of the trial.
        compared: how many methods answer beside zero-shot and in-context learning.
    """
    tokens, free = TOKENS_ON_CUDA if model.device.type == "cuda" else TOKENS_PER_BATCH, free_memory(model.device)
    while tokens > LEAST_TOKENS and batch_memory(model, [prompts], compared, tokens) > SHARE * free:
        tokens //= 2
    return tokens


def batch_memory(model: LanguageModel, prompts: Sequence[Prompts], compared: int, tokens: int) -> int:
    """About how many bytes the largest batch of some trials holds at once, the weights aside."""
    size, config = model.dtype.itemsize, model.config
    context = max(len(asked.demonstrations.context) for asked in prompts)
    lengths = [len(row) for asked in prompts for row in asked.queries.rows]
    batch = max(tokens, max(lengths))
    rows = batch // min(lengths)
    heads, hidden, vocabulary = int(config.num_attention_heads), int(config.hidden_size), int(config.vocab_size)
    scores = heads * batch * (context + max(lengths)) * (3 * 4 + size)  # float32, before, after and by the softmax
    answers = (PROMPTED + compared) * model.layers * rows * (hidden + heads * max(lengths)) * size
    over_demonstrations = model.layers * heads * rows * context * size
    return scores + answers + over_demonstrations + rows * vocabulary * (size + 2 * 4)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, or that torch holds there for nothing yet."""
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + int(reserved)
    return int(psutil.virtual_memory().available)
