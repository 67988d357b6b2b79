"""What trials cost before they are run: counted from their prompts, and timed by a measurement that is short."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from typing import Self, TypeVar

import torch

from icl_claims.experiments import batches, disturbance
from icl_claims.experiments.plan import Run
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import find_study
from icl_claims.experiments.trial import prompts_of
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.methods import InContext, Learned, Method, ZeroShot, at_rate, is_diagnosed, learner_of
from icl_claims.models import LanguageModel, Prefix
from icl_claims.tasks import Demonstrations, Prompts

T = TypeVar("T")
MEASURED_TOKENS = 256
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

    def __add__(self, other: Self) -> Self:
        return type(self)(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Speed:
    """Seconds of this model on this device.

    Args:
        prefix: a token that is read.
        answer: a query token that is answered after the opening token.
        attend: a query token, for every token of a long prefix, beyond that.
        train: a token that is stepped on, the mean over the compared methods.
        waited: share of the measurement for which its threads waited for a processor that others used.
    """

    prefix: float
    answer: float
    attend: float
    train: float
    waited: float = 0.0

    def seconds(self, work: Work) -> float:
        """About how long some work takes."""
        answering = self.answer * work.answered_tokens + self.attend * work.attended_pairs
        return self.prefix * work.prefix_tokens + answering + self.train * work.trained_tokens


@dataclass(frozen=True)
class Cost:
    """What some trials cost.

    Args:
        work: of all of them.
        stored: how many were run before.
        seconds: about how long what is missing takes on this device, without loading the model.
    """

    work: Work = Work()
    stored: int = 0
    seconds: float = 0.0

    def __add__(self, other: Self) -> Self:
        return type(self)(self.work + other.work, self.stored + other.stored, self.seconds + other.seconds)

    @property
    def missing(self) -> int:
        """How many trials are to be run, of some of which a part is stored."""
        return self.work.trials - self.stored


@dataclass(frozen=True)
class Estimate:
    """Trials before they are run.

    Args:
        parts: the cost of each of the lists of trials that were asked about.
        memory: about how many bytes are held at once, by what holds them.
        free: bytes that are free on the device, beside the weights that lie there now.
        speed: what was measured.
    """

    parts: tuple[Cost, ...]
    memory: Mapping[str, int]
    free: int
    speed: Speed

    @property
    def total(self) -> Cost:
        """The cost of all trials."""
        return sum(self.parts, Cost())


def estimate(
    run: Run, model: LanguageModel, parts: Sequence[Sequence[TrialSpec]], store: TrialStore | None = None
) -> Estimate:
    """Count what lists of trials will do, at least one in all, and measure a few hundred tokens of it.

    Raises:
        PromptError: a task cannot be put to this model.
    """
    drawn = {_draw(spec): spec for specs in parts for spec in specs}  # whatever is compared
    written = {draw: prompts_of(spec, model, run.data[spec.task]) for draw, spec in drawn.items()}
    rate = next(iter(run.rates.by_task.values()))
    speed = measure_speed(model, [at_rate(method, rate) for method in find_study("main").methods])

    def cost(spec: TrialSpec) -> Cost:
        prompts = written[_draw(spec)]
        missing = spec if store is None else store.missing(spec)
        seconds = 0.0 if missing is None else speed.seconds(work_of(missing, prompts))
        return Cost(work_of(spec, prompts), int(missing is None), seconds)

    costs = tuple(sum(map(cost, specs), Cost()) for specs in parts)
    compared = max(len(spec.methods) for specs in parts for spec in specs)
    held = memory(model, list(written.values()), compared)
    return Estimate(costs, held, batches.free_memory(model.device), speed)


def _draw(spec: TrialSpec) -> tuple[str, int, int]:
    return spec.task, spec.seed, spec.permutation


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
        answered_tokens=asked * (batches.PROMPTED + len(spec.methods)),
        attended_pairs=asked * context * readers,
        steps=learners * len(prompts.demonstrations.sequences),
        trained_tokens=learners * sum(map(len, prompts.demonstrations.sequences)),
    )


def measure_speed(model: LanguageModel, methods: Sequence[Method]) -> Speed:
    """Read a few hundred tokens, answer as many, and take one step with every method."""
    tokens = min(MEASURED_TOKENS, model.context_length // 2)
    ids = tuple((7 * i + 11) % int(model.config.vocab_size) for i in range(tokens))
    rows = [ids[start : start + ROW] for start in range(0, tokens, ROW)]
    opening = model.read_prefix(ids[:1])

    def answer(prefix: Prefix, asked: Sequence[Sequence[int]] = rows) -> None:
        model.answer(asked, prefix, answer_at=-1, probe_at=-1)

    answer(opening, rows[:1])  # the first call of anything also prepares it
    waited = disturbance.waited(torch.get_num_threads())
    reading, prefix = _timed(model, lambda: model.read_prefix(ids))
    (alone, _), (after, _) = (_timed(model, partial(answer, before)) for before in (opening, prefix))
    step = Demonstrations.from_rows(ids[0], model.tokens.separator, (rows[0][1:],))
    learned, training = dict[Method, Learned](), list[float]()
    for method in methods:
        seconds, learned[method] = _timed(model, partial(method.learn, model, step, learned))
        training.append(seconds)
    return Speed(
        prefix=reading / tokens,
        answer=alone / tokens,
        attend=max(after - alone, 0.0) / tokens / tokens,
        train=sum(training) / max(len(training), 1) / len(rows[0]),
        waited=waited(),
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
    diagnosed = sum(map(is_diagnosed, find_study("main").answering))
    tokens = min(batches.tokens_that_fit(model, asked, compared) for asked in prompts)
    kept_for_gradients = model.layers * sequence * (20 * hidden + 2 * heads * sequence) * size
    return {
        "weights": sum(parameter.numel() * parameter.element_size() for parameter in model.network.parameters()),
        "keys and values of the demonstrations": context * of_a_token,
        "keys of the demonstrations, by method": diagnosed * context * of_a_token // 2,
        "tuned keys and values": min(
            compared * tuned * size, batches.room_for_learned(model.device) + 2 * tuned * size
        ),
        "a batch of queries": batches.batch_memory(model, prompts, compared, tokens),
        "a training step": 3 * tuned * max(4, size) + kept_for_gradients + sequence * vocabulary * (size + 3 * 4),
    }


def _timed(model: LanguageModel, work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    done = work()
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return time.perf_counter() - start, done
