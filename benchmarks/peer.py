"""The case of a peer: what one would write today with stock transformers to see inside many answers in context.

The demonstrations' keys and values are computed once, as a `DynamicCache`, and repeated for every query of a batch;
queries are padded on the left; forward hooks record the output of every attention module at the probe position. It
gives the log-probabilities of the labels and the attention outputs. It has no pre-softmax scores, which no stock kernel
gives; ours makes them in the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from benchmarks.arithmetic import operations
from benchmarks.machine import machine_rate
from benchmarks.outcome import Outcome, Rounds, Say, tolerance_of
from benchmarks.setting import Setting, tokens_per_batch
from benchmarks.timing import timed
from icl_claims.experiments.batches import in_batches
from icl_claims.methods import InContext, Learned
from icl_claims.models.language_model import LanguageModel
from icl_claims.tasks.prompts import Demonstrations, Queries

BATCHES = (1, 2, 4, 8, 16, 32)
NAME = "ICL pass against a key-value cache and hooks"


@dataclass(frozen=True, eq=False)
class Answered:
    """The numbers that both sides give, of all queries, on the CPU."""

    log_probabilities: Tensor  # queries labels
    attention_outputs: Tensor  # layers queries hidden

    def difference(self, other: Answered) -> float:
        """The largest difference of log-probabilities, or of attention outputs as a share of their length."""
        outputs, others = self.attention_outputs, other.attention_outputs
        apart = (outputs - others).norm(dim=-1) / others.norm(dim=-1)
        return float(torch.maximum((self.log_probabilities - other.log_probabilities).abs().max(), apart.max()))


class CacheAndHooks:
    """A copy of a model in transformers' own hands that has read the demonstrations."""

    def __init__(self, model: LanguageModel, context: Sequence[int]) -> None:
        network: Any = model.network
        self.network = deepcopy(network)
        self.network.set_attn_implementation("sdpa")
        self._first_position = model.first_position
        names = {id(module): name for name, module in model.network.named_modules()}
        self._attention: list[Any] = [
            self.network.get_submodule(names[id(module)]) for module in model.attention_modules
        ]
        self._context = len(context)
        with torch.inference_mode():
            read = self.network(torch.tensor([context], device=model.device), use_cache=True, logits_to_keep=1)
        self._pairs = [(layer.keys, layer.values) for layer in read.past_key_values.layers]
        self._caches: dict[int, DynamicCache] = {}

    def answer(self, queries: Queries, batch: int) -> Answered:
        """All queries, so many at a time, those of like length together."""
        answers, outputs = _empty(queries, len(self._attention), self.network)
        by_length = sorted(range(len(queries)), key=lambda i: len(queries.rows[i]))
        for start in range(0, len(by_length), batch):
            some = by_length[start : start + batch]
            answers[some], outputs[:, some] = self._answer_batch(queries.some(some))
        return Answered(answers, outputs)

    def forget(self) -> None:
        """Give back the memory of the repeated caches."""
        self._caches.clear()

    def _answer_batch(self, queries: Queries) -> tuple[Tensor, Tensor]:
        rows, device, seen = queries.rows, self.network.device, list[Tensor]()
        width = max(map(len, rows))
        ids, mask, positions = (torch.zeros(len(rows), width, dtype=torch.long) for _ in range(3))
        for at, row in enumerate(rows):
            ids[at, -len(row) :], mask[at, -len(row) :] = torch.tensor(row), 1
            positions[at, -len(row) :] = torch.arange(len(row)) + self._context
        whole = torch.cat([torch.ones(len(rows), self._context, dtype=torch.long), mask], 1)
        cache = self._cache(len(rows))
        with torch.inference_mode(), ExitStack() as hooks:
            for module in self._attention:
                keep = lambda _m, _i, output: seen.append(output[0][:, queries.probe_at])  # noqa: E731
                hooks.callback(module.register_forward_hook(keep).remove)
            logits = self.network(
                ids.to(device),
                attention_mask=whole.to(device),
                position_ids=(positions + self._first_position).to(device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=-queries.answer_at,
            ).logits[:, 0]
            cache.crop(-width)
            labels = logits.float().log_softmax(-1)[:, list(queries.label_ids)]
        return labels.cpu(), torch.stack(seen).float().cpu()

    def _cache(self, rows: int) -> DynamicCache:
        """The demonstrations' keys and values, once for every row; made once for each number of rows."""
        if rows not in self._caches:
            repeated = [tuple(x.expand(rows, -1, -1, -1) for x in pair) for pair in self._pairs]
            self._caches[rows] = DynamicCache(repeated)
        return self._caches[rows]


def _empty(queries: Queries, layers: int, network: Any) -> tuple[Tensor, Tensor]:
    hidden = int(network.config.get_text_config(decoder=True).hidden_size)
    return torch.zeros(len(queries), len(queries.label_ids)), torch.zeros(layers, len(queries), hidden)


def ours(learned: Learned, queries: Queries) -> Answered:
    """The same numbers, and the scores, which are dropped."""
    answers, outputs = _empty(queries, learned.model.layers, learned.model.network)

    def answer(batch: list[int], _tokens: int) -> None:
        found = learned.answer(queries.some(batch))
        answers[batch] = found.log_probabilities.cpu()
        outputs[:, batch] = found.attention_outputs.float().cpu()

    in_batches(queries, answer, tokens_per_batch(learned.model))
    return Answered(answers, outputs)


@dataclass(eq=False)
class _Turns:
    """Both sides by turns; demonstrations are read before."""

    setting: Setting
    shown: Demonstrations
    queries: Queries
    peer: CacheAndHooks
    learned: Learned
    by_batch: dict[int, Rounds] = field(default_factory=dict)
    differences: dict[int, float] = field(default_factory=dict)

    def take(self, batch: int) -> None:
        model, queries, rounds = self.setting.model, self.queries, self.by_batch.setdefault(batch, Rounds())
        theirs, spent = timed(lambda: self.peer.answer(queries, batch))
        rounds.reference.append(spent / len(queries))
        before = machine_rate(model, tokens_per_batch(model))
        answers, spent = timed(lambda: ours(self.learned, queries))
        rounds.ours.append(spent / len(queries))
        work = operations(model, queries.rows, len(self.shown.context))
        rounds.count(work / spent, before, machine_rate(model, tokens_per_batch(model)))
        self.differences[batch] = max(theirs.difference(answers), self.differences.get(batch, 0.0))

    def outcome(self, batch: int, words: str) -> Outcome:
        case = f"{NAME}, {words}, {len(self.queries)} queries after {len(self.shown.context)} tokens"
        tolerance = tolerance_of(self.setting.model.dtype)
        return self.by_batch[batch].outcome(case, "a query", self.differences[batch], tolerance=tolerance)


def cache_and_hooks(setting: Setting, say: Say) -> Iterator[Outcome]:
    """The ICL pass against the peer: a round with every size of batch, then the other rounds with the best of them."""
    shown, queries = setting.demonstrations(setting.effort.context), setting.queries(setting.effort.queries)
    peer, learned = CacheAndHooks(setting.model, shown.context), InContext().learn(setting.model, shown)
    turns = _Turns(setting, shown, queries, peer, learned)
    ours(learned, queries)  # and with it all that is done only once
    for batch in [size for size in BATCHES if size == 1 or size <= len(queries)]:
        say(f"a key-value cache and hooks: batches of {batch}")
        peer.answer(queries.some(range(batch)), batch)
        turns.take(batch)
        peer.forget()
    best = min(turns.by_batch, key=lambda size: turns.by_batch[size].reference[0])
    yield from (turns.outcome(batch, f"batches of {batch}") for batch in turns.by_batch if batch != best)
    for number in range(1, setting.effort.rounds):
        say(f"a key-value cache and hooks: round {number + 1}, batches of {best}")
        turns.take(best)
    yield turns.outcome(best, f"best batch {best}")
