"""Queries in batches: of as many tokens as fit the memory, halved where it runs out, and what each batch gives."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import psutil
import torch
from jaxtyping import Int
from torch import Tensor

from icl_claims import errors, models
from icl_claims.experiments.result import BatchNumbers, Entry
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import IN_CONTEXT, ZERO_SHOT
from icl_claims.methods import Batch, pairs
from icl_claims.metrics import Answer, LayerMetric, Seen, SetMetric
from icl_claims.questions import Named
from icl_claims.tasks import Prompts, Queries

TOKENS_PER_BATCH = 1024
TOKENS_ON_CUDA = 8192
LEAST_TOKENS = 64
LEAST_QUERIES = 3  # that are never parted
SHARE = 0.5  # of the free memory, of which this is only an estimate
PROMPTED = 2  # zero-shot and in-context learning, which are in every trial
LEARNED_ON_CPU = 256 * 2**20  # bytes: files are read from the system's own cache about as fast as memory is copied
SHARE_FOR_LEARNED = 0.25  # of what is free on CUDA: from files, weights must cross to the device for every batch


def in_batches(
    queries: Queries,
    work: Callable[[list[int], int], None],
    tokens: int = TOKENS_PER_BATCH,
    *,
    among: Sequence[int] | None = None,
    say: models.Say = lambda _text: None,
) -> None:
    """Have queries worked on in batches; where one runs out of memory, it and all later ones are halved.

    Args:
        queries: all of them.
        work: given a batch's indices of queries, and the limit of batches as it is by now.
        tokens: limit of a batch.
        among: indices of the queries that wait, none without its neighbour; all by default.
        say: receives a sentence when batches are halved.

    Raises:
        ModelError: not even the smallest batch fits the memory.
    """
    waiting = list(batches_by_length(queries, tokens, among=among))
    while waiting:
        batch, is_full = waiting[0], False
        try:
            work(batch, tokens)
        except torch.OutOfMemoryError:
            is_full = True  # the memory is free only when the error, which holds the tensors of its frames, is gone
        if not is_full:
            del waiting[0]
            continue
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        held = sum(len(queries.rows[index]) for index in batch)
        if len(batch) <= LEAST_QUERIES:
            raise out_of_memory(f"{len(batch)} queries of {held} tokens in all")
        tokens = held // 2
        say(f"batch halved to {tokens} tokens: out of memory")
        left = [index for batch in waiting for index in batch]
        waiting = list(batches_by_length(queries, tokens, among=left))


def batches_by_length(
    queries: Queries, tokens: int = TOKENS_PER_BATCH, *, among: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """Indices of queries, or of those `among` them, shortest first, in batches of at most so many tokens.

    Neighbours in length stay together, two by two (three where the number is odd), however small the batches are: each
    serves as a control of the other.
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


def _neighbours(indices: Sequence[int]) -> list[list[int]]:
    """Two by two, and the last three together where the number is odd."""
    pairs = [list(indices[start : start + 2]) for start in range(0, len(indices), 2)]
    if len(pairs) > 1 and len(pairs[-1]) == 1:
        pairs[-2:] = [pairs[-2] + pairs[-1]]
    return pairs


def out_of_memory(what: str) -> errors.ModelError:
    """The error of work that no smaller batch can help."""
    return errors.ModelError(
        f"The memory of the device is full with {what}",
        todo="Use ⟨dtype⟩ float16, fewer demonstrations (⟨k⟩), or ⟨device⟩ spread or cpu.",
    )


def tokens_that_fit(model: models.LanguageModel, prompts: Prompts, compared: int) -> int:
    """The tokens of a batch of a trial; a power of two times the least, so that little less memory changes nothing.

    `compared` methods answer beside zero-shot and in-context learning.
    """
    tokens, free = TOKENS_ON_CUDA if model.device.type == "cuda" else TOKENS_PER_BATCH, free_memory(model.device)
    while tokens > LEAST_TOKENS and batch_memory(model, [prompts], compared, tokens) > SHARE * free:
        tokens //= 2
    return tokens


def batch_memory(model: models.LanguageModel, prompts: Sequence[Prompts], compared: int, tokens: int) -> int:
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


def room_for_learned(device: torch.device) -> int:
    """How many bytes of what methods learned stay in the memory of a device."""
    return int(SHARE_FOR_LEARNED * free_memory(device)) if device.type == "cuda" else LEARNED_ON_CPU


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, or that torch holds there for nothing yet."""
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + int(reserved)
    return int(psutil.virtual_memory().available)


def measure(spec: TrialSpec, batch: Batch, gold: Int[np.ndarray, " batch"], lengths: Sequence[int]) -> BatchNumbers:
    """What the answers to a batch give: numbers by query and layer; activations are forgotten after it.

    The true labels of its queries are `gold`, and `lengths` the tokens of each demonstration in the context.
    """
    answers, zero_shot, in_context = batch.answers, batch.zero_shot, batch.answers[IN_CONTEXT.name]
    found: BatchNumbers = {**said(answers), "by_layer": {}, "features": {}}

    def keep(
        metric: LayerMetric, method: Named, reference: Named, answer: Answer, other: Answer, of: Callable[[Seen], Any]
    ) -> None:
        drawn = tuple(batch.queries), tuple(lengths), spec.seed, spec.protocol.random_baseline
        values = of(Seen(answer, other, zero_shot, gold, *drawn))
        single = (_numbers(values) if isinstance(values, Tensor) else np.asarray(values)).astype(np.float32)
        group = "features" if isinstance(metric, SetMetric) else "by_layer"
        found[group][Entry(metric.name, method.name, reference.name)] = single

    for method, reference, answer, other in _compared(spec, batch):
        for metric in (m for m in spec.layer_metrics if m.compares and m.applies(answer, other)):
            if not metric.of_updates or (method != ZERO_SHOT and metric.applies(zero_shot)):
                keep(metric, method, reference, answer, other, metric.of)
    for metric in spec.layer_metrics:
        for method in () if metric.compares else (one for one in spec.answering if one.name in answers):
            if metric.applies(answer := answers[method.name]):
                keep(metric, method, IN_CONTEXT, answer, answer, metric.of)
        for baseline, values in metric.baselines if metric.applies(in_context) else ():
            keep(metric, baseline, IN_CONTEXT, in_context, in_context, values)
    return found


def _compared(spec: TrialSpec, batch: Batch) -> Iterator[tuple[Named, Named, Answer, Answer]]:
    """Every method that is compared and every null, what it is compared with, and the answers of both."""
    answers = batch.answers
    for method, reference in pairs(method for method in spec.answering if method.name in answers):
        yield method, reference, answers[method.name], answers[reference.name]
    for null in spec.nulls:
        if null.of.name in answers and (answer := null.answer(batch)) is not None:
            yield null, IN_CONTEXT, answer, answers[IN_CONTEXT.name]


def said(answers: Mapping[str, Answer]) -> BatchNumbers:
    """The log-probabilities of each label alone, by method."""
    return {"log_probabilities": {name: _numbers(answer.log_probabilities) for name, answer in answers.items()}}


def _numbers(values: Tensor) -> Any:
    """A tensor as a NumPy array of float64, detached and on the CPU."""
    return values.detach().cpu().double().numpy()
