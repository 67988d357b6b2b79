"""From what the reader chose to a list of trials, and what these cost before they are run."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cache, partial
from typing import Self, TypeVar

import torch

from icl_claims.experiments import batches, disturbance, profiles, trial, tuning
from icl_claims.experiments.spec import TrialSpec, joined, kernels, number_makers, where_run
from icl_claims.experiments.studies import Study, find_study
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.methods import InContext, Learned, Method, ZeroShot, at_rate, is_diagnosed, learner_of
from icl_claims.models import LanguageModel, Prefix, Say
from icl_claims.models.reference import model_digest
from icl_claims.protocol import Protocol
from icl_claims.tasks import Demonstrations, Prompts, Task, TaskData

T = TypeVar("T")
MEASURED_TOKENS = 256
ROW = 32  # tokens of a query in the measurement


@dataclass(frozen=True, eq=False)
class Run:
    """What choices come to, each thing found once.

    Args:
        data: examples by task.
        model: its digest.
        where: its dtype and the kind of its device.
    """

    choices: profiles.Choices
    tasks: tuple[Task, ...]
    studies: tuple[str, ...]
    protocol: Protocol
    data: Mapping[str, TaskData]
    model: str
    where: Mapping[str, str]
    rates: tuning.LearningRates

    @property
    def k(self) -> int:
        """The number of demonstrations."""
        return self.choices.k or self.choices.profile.k


def resolve(
    choices: profiles.Choices,
    model: LanguageModel | None = None,
    say: Say = lambda _text: None,
    *,
    load: Callable[[], LanguageModel] | None = None,
    own: Sequence[Task] = (),
    papers: bool = True,
) -> Run:
    """Find out what choices come to: tasks, data, rates, and the digest of the model, which is not loaded for it.

    Args:
        choices: of the reader.
        model: the model, if it is loaded already.
        say: told in a sentence what takes long.
        load: gives the model where it is to be loaded anyway, once everything else is known to be right.
        own: tasks of the reader's that are run too, unless tasks were chosen.
        papers: whether the papers' tasks are run if none were chosen.

    Raises:
        UsageError: a choice makes no sense, or the file of rates is about another model.
        DataError: a file of examples is missing or malformed.
        ModelError: the model is not there.
        StoreError: the file of rates cannot be read.
    """
    tasks, profile = choices.chosen_tasks(), choices.profile
    if choices.tasks is None:
        tasks = (*(tasks if papers or not own else ()), *own)
    data = {task.name: choices.source.read(task) for task in tasks}
    studies = choices.chosen_studies()
    protocol = replace(profile.protocol, **choices.protocol)
    model = model if load is None else load()
    digest = model_digest(choices.model_reference, say=say) if model is None else model.digest
    where = choices.where if model is None else where_run(model)
    own_model = choices.model in (None, profile.model) and profile.model is not None
    rates = tuning.learning_rates(profile, digest, own_model=own_model, file=choices.rates).including(profile, tasks)
    return Run(choices, tasks, studies, protocol, data, digest, where, rates)


def plan_trials(run: Run, study: Study | str = "main") -> list[TrialSpec]:
    """The trials of a study, task by task.

    Raises:
        UsageError: no such study.
    """
    asked = find_study(study) if isinstance(study, str) else study
    return [spec for task in run.tasks for spec in plan_task(run, asked, task)]


def plan_task(run: Run, study: Study, task: Task, draws: int | None = None) -> list[TrialSpec]:
    """The trials of a study on a task, of its first draws; by default of all."""
    choices, rate = run.choices, run.rates.by_task[task.name]
    first = TrialSpec(
        model=run.model,
        data=run.data[task.name].digest,
        task=task.name,
        k=run.k,
        seed=0,
        permutation=0,
        queries=choices.queries or choices.profile.queries,
        methods=tuple(at_rate(method, rate) for method in study.methods),
        metrics=study.metrics,
        weights=study.weights,
        protocol=run.protocol,
        diagnostics=study.diagnostics,
        dtype=run.where["dtype"],
        device=run.where["device"],
        kernels=_kernels_once(run.where["device"]),
        libraries=_libraries_once(),
    )
    pairs = choices.runs(task, apart=study.apart, draws=draws)
    return [replace(first, seed=seed, permutation=permutation) for seed, permutation in pairs]


_libraries_once, _kernels_once = cache(number_makers), cache(kernels)


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
class Estimate:
    """A run before it is run.

    Args:
        kept: how many trials were run before and are kept.
        seconds: about how long what is missing takes on this device, without loading the model.
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
    """Count what the chosen trials will do, one for all studies of a setting, and measure a few hundred tokens of it.

    Raises:
        UsageError: a choice makes no sense.
        PromptError: a task cannot be put to this model.
    """
    specs = list(joined(spec for study in run.studies for spec in plan_trials(run, study)).values())
    drawn = {(spec.task, spec.seed, spec.permutation): spec for spec in specs}  # whatever the study
    written = {draw: trial.prompts_of(spec, model, run.data[spec.task]) for draw, spec in drawn.items()}
    prompts = [written[spec.task, spec.seed, spec.permutation] for spec in specs]
    rate = next(iter(run.rates.by_task.values()))
    speed = measure_speed(model, [at_rate(method, rate) for method in find_study("main").methods])
    by_task: dict[str, Work] = {}
    kept = 0
    seconds: float = 0
    for spec, asked in zip(specs, prompts, strict=True):
        by_task[spec.task] = by_task.get(spec.task, Work()) + work_of(spec, asked)
        missing = spec if store is None else store.missing(spec)
        kept += missing is None
        seconds += 0 if missing is None else speed.seconds(work_of(missing, asked))
    held = memory(model, prompts, max(len(spec.methods) for spec in specs))
    return Estimate(by_task, kept, seconds, held, batches.free_memory(model.device), speed)


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
