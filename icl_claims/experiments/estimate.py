"""What a run costs, before it is run: trials, tokens and steps, memory, and its time from a short measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch

from icl_claims.experiments.batches import PROMPTED, batch_memory, free_memory, tokens_that_fit
from icl_claims.experiments.plan import Run, plan_trials
from icl_claims.experiments.result import TrialStore
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.spill import memory_for_learned
from icl_claims.experiments.studies import find_study
from icl_claims.experiments.trial import prompts_of
from icl_claims.methods import InContext, Method, ZeroShot, at_rate, is_diagnosed, learner_of
from icl_claims.models import LanguageModel
from icl_claims.tasks import Demonstrations, Prompts

MEASURED_TOKENS = 256
DIAGNOSED = sum(map(is_diagnosed, find_study("main").answering))
ROW = 32  # tokens of a query in the measurement


@dataclass(frozen=True)
class Work:
    """What some trials do.

    Args:
        prefix_tokens: read once by in-context learning.
        answered_tokens: the same, once for every method.
        attended_pairs: of a query token and a prefix token.
        trained_tokens: of the demonstrations that are stepped on, once for every method.
    """

    trials: int = 0
    prefix_tokens: int = 0
    query_tokens: int = 0
    answered_tokens: int = 0
    attended_pairs: int = 0
    steps: int = 0
    trained_tokens: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True)
class Speed:
    """Seconds of this model on this device.

    Args:
        prefix: a token that is read.
        answer: a query token that is answered after the opening token.
        attend: a query token, for every token of a long prefix, beyond that.
        train: a token that is stepped on, the mean over the compared methods.
    """

    prefix: float
    answer: float
    attend: float
    train: float

    def seconds(self, work: Work) -> float:
        """About how long some work takes."""
        answering = self.answer * work.answered_tokens + self.attend * work.attended_pairs
        return self.prefix * work.prefix_tokens + answering + self.train * work.trained_tokens


@dataclass(frozen=True)
class Estimate:
    """A run before it is run.

    Args:
        by_task: the work of each task.
        kept: how many trials were run before and are kept.
        seconds: about how long the others take on this device, without loading the model.
        memory: about how many bytes are held at once, by what holds them.
        free: bytes that are free on the device, beside the weights that lie there now.
        speed: what was measured.
    """

    by_task: Mapping[str, Work]
    kept: int
    seconds: float
    memory: Mapping[str, int]
    free: int
    speed: Speed

    @property
    def total(self) -> Work:
        """The work of all tasks."""
        return sum(self.by_task.values(), Work())


def estimate(run: Run, model: LanguageModel, store: TrialStore | None = None) -> Estimate:
    """Count what the chosen trials will do, and measure a few hundred tokens of it.

    Raises:
        UsageError: a choice makes no sense.
        PromptError: a task cannot be put to this model.
    """
    specs = [spec for study in run.studies for spec in plan_trials(run, study)]
    prompts = [prompts_of(spec, model, run.data[spec.task]) for spec in specs]
    works = [work_of(spec, asked) for spec, asked in zip(specs, prompts, strict=True)]
    rate = next(iter(run.rates.by_task.values()))
    speed = measure_speed(model, [at_rate(method, rate) for method in find_study("main").methods])
    is_kept = [store is not None and store.holds(spec) for spec in specs]
    by_task: dict[str, Work] = {}
    for spec, work in zip(specs, works, strict=True):
        by_task[spec.task] = by_task.get(spec.task, Work()) + work
    return Estimate(
        by_task,
        sum(is_kept),
        sum(speed.seconds(work) for work, kept in zip(works, is_kept, strict=True) if not kept),
        memory(model, prompts, max(len(spec.methods) for spec in specs)),
        free_memory(model.device),
        speed,
    )


def work_of(spec: TrialSpec, prompts: Prompts) -> Work:
    """What one trial does."""
    context = len(prompts.demonstrations.context)
    asked = sum(map(len, (*prompts.queries.rows, *prompts.content_free.rows)))
    innermost = [learner_of(method) for method in spec.methods]
    readers = 1 + sum(isinstance(method, InContext) for method in innermost)
    learners = sum(not isinstance(method, InContext | ZeroShot) for method in innermost)
    return Work(
        trials=1,
        prefix_tokens=context * readers,
        query_tokens=asked,
        answered_tokens=asked * (PROMPTED + len(spec.methods)),
        attended_pairs=asked * context * readers,
        steps=learners * len(prompts.demonstrations.sequences),
        trained_tokens=learners * sum(map(len, prompts.demonstrations.sequences)),
    )


def measure_speed(model: LanguageModel, methods: Sequence[Method]) -> Speed:
    """Read a few hundred tokens, answer as many, and take one step with every method."""
    tokens = min(MEASURED_TOKENS, model.context_length // 2)
    vocabulary = int(model.config.vocab_size)
    ids = tuple((7 * i + 11) % vocabulary for i in range(tokens))
    rows = [ids[start : start + ROW] for start in range(0, tokens, ROW)]
    opening = model.read_prefix(ids[:1])

    def answer(prefix: Any) -> None:
        model.answer(rows, prefix, answer_at=-1, probe_at=-1)

    answer(opening)  # the first call of anything also prepares it
    prefix = model.read_prefix(ids)
    reading = _timed(model, lambda: model.read_prefix(ids))
    alone, after = (_timed(model, partial(answer, before)) for before in (opening, prefix))
    step = Demonstrations.from_rows(ids[0], model.tokens.separator, (rows[0][1:],))
    training = [_timed(model, partial(method.learn, model, step)) for method in methods]
    return Speed(
        prefix=reading / tokens,
        answer=alone / tokens,
        attend=max(after - alone, 0.0) / tokens / tokens,
        train=sum(training) / max(len(training), 1) / len(rows[0]),
    )


def memory(model: LanguageModel, prompts: Sequence[Prompts], compared: int) -> dict[str, int]:
    """About how many bytes the largest of some trials holds at once, by what holds them."""
    size, config = model.dtype.itemsize, model.config
    tuned = sum(value.numel() for value in model.tuned_values().values())
    one = model.read_prefix([model.tokens.bos])
    of_a_token = sum(values.numel() for values in (*one.keys, *one.values)) * size
    context = max(len(asked.demonstrations.context) for asked in prompts)
    sequence = max(len(shown) for asked in prompts for shown in asked.demonstrations.sequences)
    heads, hidden, vocabulary = int(config.num_attention_heads), int(config.hidden_size), int(config.vocab_size)
    tokens = min(tokens_that_fit(model, asked, compared) for asked in prompts)
    kept_for_gradients = model.layers * sequence * (20 * hidden + 2 * heads * sequence) * size
    return {
        "weights": sum(parameter.numel() * parameter.element_size() for parameter in model.network.parameters()),
        "keys and values of the demonstrations": context * of_a_token,
        "keys of the demonstrations, by method": DIAGNOSED * context * of_a_token // 2,
        "tuned keys and values": min(compared * tuned * size, memory_for_learned(model.device) + 2 * tuned * size),
        "a batch of queries": batch_memory(model, prompts, compared, tokens),
        "a training step": 3 * tuned * max(4, size) + kept_for_gradients + sequence * vocabulary * (size + 3 * 4),
    }


def _timed(model: LanguageModel, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return time.perf_counter() - start
