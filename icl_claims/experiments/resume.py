"""The progress of a trial: what methods learned, and blocks of answered queries; resumed where a run was killed."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from icl_claims.experiments.batches import Batches
from icl_claims.experiments.measure import BatchNumbers
from icl_claims.experiments.result import BY_ENTRY
from icl_claims.experiments.spill import LearnedSpill, packed
from icl_claims.methods import Learned
from icl_claims.storage.checksummed import flat, grouped
from icl_claims.storage.store import START, Checkpoint, FinishedPart
from icl_claims.tasks import Queries

PromptKind = Literal["queries", "content_free"]
Block = tuple[list[int], BatchNumbers]
"""Indices of queries, and their numbers."""
LEARNED = "learned"


@dataclass(eq=False)
class TrialProgress:
    """The finished parts of a trial, each written to the checkpoint at once.

    Args:
        tokens: limit of a batch of queries, as long as memory does not run out.
        learned: what methods learned.
        checkpoint: where parts are written; None if nothing is.
        blocks: queries that all methods have answered.
        failures: why a method gives nothing, by method.
        seconds: time spent, by what was done.
        notes: what happened on the way.
    """

    tokens: int
    learned: LearnedSpill
    checkpoint: Checkpoint | None = None
    blocks: dict[PromptKind, list[Block]] = field(default_factory=lambda: {"queries": [], "content_free": []})
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    notes: list[str] = field(default_factory=list)
    _tokens_left: dict[str, int] = field(default_factory=dict)

    def begin(self, facts: Mapping[str, Any], where: Mapping[str, Any]) -> None:
        """Resume what an interrupted run finished, with its size of batches, or begin.

        Args:
            facts: about the trial, for whoever looks at the checkpoint.
            where: the device it is run on; a trial resumed elsewhere says so, for its numbers may differ by rounding.
        """
        before = None
        for part in () if self.checkpoint is None else self.checkpoint.recall():
            before = part.facts["where"] if part.kind == START else before
            self._take_up(part)
        if before is None:
            self._keep(START, {**facts, "tokens": self.tokens, "where": dict(where)}, {})
        elif before != where:
            self.notes.append(f"begun with {_in_words(before)}, went on with {_in_words(where)}")

    def keep_learned(self, method: str, learned: Learned) -> None:
        """Keep what a method learned: a change of weights took many steps, while a prefix is read again as fast."""
        folder = None
        if self.checkpoint is not None and learned.weights and (content := packed(learned)) is not None:
            facts, numbers = content
            folder = self._keep(LEARNED, {"method": method, "learned": facts}, numbers)
        self.learned.put(method, learned, folder)

    def batches(self, asked: PromptKind, queries: Queries) -> Batches:
        """Those queries that have no block yet, in the batches in which an uninterrupted run would put them."""
        done = {index for batch, _ in self.blocks[asked] for index in batch}
        left = [index for index in range(len(queries)) if index not in done]
        return Batches(queries, self._tokens_left.get(asked, self.tokens), among=left, say=self.notes.append)

    def keep_block(self, asked: PromptKind, batch: list[int], numbers: BatchNumbers, tokens: int) -> None:
        """Keep the numbers of a batch of queries, and the limit of the batches that follow."""
        self.blocks[asked].append((batch, numbers))
        index, arrays = flat(numbers)
        self._keep(asked, {"batch": batch, "groups": list(numbers), "index": index, "tokens": tokens}, arrays)

    def _keep(self, kind: str, facts: Mapping[str, Any], numbers: Mapping[str, np.ndarray]) -> Path | None:
        if self.checkpoint is None:
            return None
        so_far = {"failures": self.failures, "seconds": dict(self.seconds), "notes": self.notes}
        return self.checkpoint.keep(kind, {**facts, **so_far}, numbers)

    def _take_up(self, part: FinishedPart) -> None:
        facts = part.facts
        self.failures, self.notes = dict(facts["failures"]), list(facts["notes"])
        self.seconds = defaultdict(float, facts["seconds"])
        if part.kind == START:
            self.tokens = facts["tokens"]
        elif part.kind == LEARNED:
            self.learned.put_file(facts["method"], part.folder)
        else:
            asked: PromptKind = "queries" if part.kind == "queries" else "content_free"
            numbers: BatchNumbers = grouped(facts["index"], part.numbers, facts["groups"], BY_ENTRY)
            self.blocks[asked].append((facts["batch"], numbers))
            self._tokens_left[asked] = facts["tokens"]


def _in_words(where: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in where.items())
