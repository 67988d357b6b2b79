"""What is finished of a trial: what methods learned, and blocks of queries; taken up again where a run was killed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from icl_claims.experiments.batches import Batches
from icl_claims.experiments.learned_arrays import can_be_packed, packed, unpacked
from icl_claims.experiments.measure import Numbers
from icl_claims.experiments.partial import START, Part, PartialTrial
from icl_claims.methods import Learned
from icl_claims.models.language_model import LanguageModel
from icl_claims.tasks.prompts import Queries

Asked = Literal["queries", "content_free"]
Block = tuple[list[int], Numbers]
"""Indices of queries, and their numbers."""
LEARNED = "learned"


@dataclass(eq=False)
class TrialState:
    """What is finished of a trial, each part kept at once where there is a place for it.

    Args:
        tokens: of a batch of queries, at most, unless memory ran out.
        kept: where parts are kept; None for nowhere.
        blocks: of queries that all methods have answered.
        failures: by method, why it gives nothing.
        seconds: by what was done.
        notes: what happened on the way.
    """

    tokens: int
    kept: PartialTrial | None = None
    blocks: dict[Asked, list[Block]] = field(default_factory=lambda: {"queries": [], "content_free": []})
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    notes: list[str] = field(default_factory=list)
    _learned: dict[str, Part] = field(default_factory=dict)
    _tokens_left: dict[str, int] = field(default_factory=dict)

    def begin(self, facts: Mapping[str, Any], where: Mapping[str, Any]) -> None:
        """Take up what an interrupted run finished, with its size of batches, or begin.

        Args:
            facts: about the trial, for whoever looks at what is kept.
            where: it is run; a trial that goes on elsewhere says so, for its numbers may differ by rounding.
        """
        parts = [] if self.kept is None else self.kept.recall()
        for part in parts:
            self._take_up(part)
        if not parts:
            self._keep(START, {**facts, "tokens": self.tokens, "where": dict(where)}, {})
        elif (before := parts[0].facts["where"]) != where:
            self.notes.append(f"begun with {_in_words(before)}, went on with {_in_words(where)}")

    def recall_learned(self, method: str, model: LanguageModel) -> Learned | None:
        """What a method learned in an interrupted run; None where that was not kept."""
        part = self._learned.pop(method, None)
        return None if part is None else unpacked(part.facts["learned"], part.numbers, model)

    def keep_learned(self, method: str, learned: Learned) -> None:
        """Keep what a method learned, if that pays."""
        if self.kept is not None and can_be_packed(learned):
            facts, numbers = packed(learned)
            self._keep(LEARNED, {"method": method, "learned": facts}, numbers)

    def batches(self, asked: Asked, queries: Queries) -> Batches:
        """Those queries that have no block yet, in the batches in which an uninterrupted run would put them."""
        done = {index for batch, _ in self.blocks[asked] for index in batch}
        left = [index for index in range(len(queries)) if index not in done]
        return Batches(queries, self._tokens_left.get(asked, self.tokens), among=left)

    def keep_block(self, asked: Asked, batch: list[int], numbers: Numbers, tokens: int) -> None:
        """Keep the numbers of a batch of queries.

        Args:
            asked: which queries.
            batch: their indices.
            numbers: by group and entry, a row a query.
            tokens: of the batches that follow, at most.
        """
        self.blocks[asked].append((batch, numbers))
        flat = {f"{group}|{entry}": values for group, of in numbers.items() for entry, values in of.items()}
        self._keep(asked, {"batch": batch, "groups": list(numbers), "tokens": tokens}, flat)

    def _keep(self, kind: str, facts: Mapping[str, Any], numbers: Mapping[str, np.ndarray]) -> None:
        if self.kept is not None:
            so_far = {"failures": self.failures, "seconds": dict(self.seconds), "notes": self.notes}
            self.kept.keep(kind, {**facts, **so_far}, numbers)

    def _take_up(self, part: Part) -> None:
        facts = part.facts
        self.failures, self.notes = dict(facts["failures"]), list(facts["notes"])
        self.seconds = defaultdict(float, facts["seconds"])
        if part.kind == START:
            self.tokens = facts["tokens"]
        elif part.kind == LEARNED:
            self._learned[facts["method"]] = part
        else:
            asked: Asked = "queries" if part.kind == "queries" else "content_free"
            self.blocks[asked].append((facts["batch"], _grouped(part)))
            self._tokens_left[asked] = facts["tokens"]


def _grouped(part: Part) -> Numbers:
    grouped: Numbers = {group: {} for group in part.facts["groups"]}
    for name, values in part.numbers.items():
        group, _, entry = name.partition("|")
        grouped[group][entry] = values
    return grouped


def _in_words(where: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in where.items())
