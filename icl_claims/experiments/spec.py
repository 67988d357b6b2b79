"""What a trial is: a frozen specification, from which its numbers follow."""

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, Self

from icl_claims import errors, models, questions
from icl_claims.experiments.studies import IN_CONTEXT, ZERO_SHOT
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.methods import Method, Null, Paraphrased, is_diagnosed, nulls_of_method
from icl_claims.metrics import BY_LAYER, LayerMetric
from icl_claims.protocol import Protocol
from icl_claims.storage.files import source_digest
from icl_claims.tasks import TASK_FILE, TaskData

PACKAGE = Path(__file__).parents[1]
_Record = Mapping[str, Any]
CODE_THAT_MAKES_NUMBERS = (
    *("metrics/*.py", "tasks/*.py", "models/*.py", "methods/*.py"),
    *(f"experiments/{room}.py" for room in ("batches", "progress", "trial")),
)
SAID_IN_PRINT = ("title", "definition", "formula", "source", "look", "drawn_by_layer")
"""Names of what metrics and methods say of themselves in print and in figures, on which no number depends."""


@dataclass(frozen=True)
class TrialSpec:
    """Everything that decides the numbers of a trial.

    >>> from icl_claims import Finetuning, Protocol, load_model, synthetic_task
    >>> model, task, readings = load_model("tiny"), synthetic_task("sst2"), Protocol(loss="label_only")
    >>> TrialSpec.of(model, task, [Finetuning(1.5)], k=4, protocol=readings).protocol.loss
    'label_only'

    Args:
        model: Digest of the model.
        data: Digest of the task's examples.
        seed: Seed of the draw of demonstrations, of untrained weights, and of the random controls.
        queries: How many queries are asked at most; None for 2000.
        methods: What is compared with in-context learning; zero-shot and in-context learning are in every trial.
        weights: `trained`, or what an untrained model keeps of the trained one.
        diagnostics: Whether the logit lens and the attention to the demonstrations are measured.
        metrics: Metrics of the reader's own, measured beside ours.
        code: Digest of the code that makes the numbers.

    Raises:
        UsageError: Two methods have one name, or a paraphrased method has other parameters than the method of its name.
    """

    model: str
    data: str
    task: str
    k: int
    seed: int
    permutation: int
    queries: int | None
    methods: tuple[Method, ...]
    weights: Literal["trained"] | models.Kept = "trained"
    dtype: str = "float32"
    protocol: Protocol = Protocol()
    diagnostics: bool = True
    metrics: tuple[LayerMetric, ...] = ()
    code: str = ""

    def __post_init__(self) -> None:
        names = [method.name for method in self.methods]
        by_name = dict(zip(names, self.methods, strict=True))
        for method in (one for one in self.methods if isinstance(one, Paraphrased)):
            if by_name.get(method.method.name, method.method) != method.method:
                wanted = f"the parameters of {method.method.name}, with which it shares what is learned"
                raise errors.UsageError(f"The method {method.name} has other parameters", expected=wanted)
        if len({*names, ZERO_SHOT.name, IN_CONTEXT.name}) != len(names) + 2:
            raise errors.UsageError(
                "Two methods of a trial have one name", expected="names that differ", got=", ".join(names)
            )

    @classmethod
    def of(
        cls,
        model: models.LanguageModel,
        data: TaskData,
        methods: Iterable[Method],
        *,
        k: int,
        seed: int = 0,
        **options: Any,
    ) -> Self:
        """The specification of a trial of a model on a task."""
        chosen = {"permutation": 0, "queries": None, "dtype": str(model.dtype).removeprefix("torch."), **options}
        return cls(model.digest, data.digest, data.task.name, k, seed, methods=tuple(methods), **chosen)

    @property
    def answering(self) -> tuple[Method, ...]:
        """All methods that answer, zero-shot and in-context learning first."""
        return (ZERO_SHOT, IN_CONTEXT, *self.methods)

    @property
    def nulls(self) -> tuple[Null, ...]:
        """What is put in the place of the methods' updates."""
        return tuple(null for method in self.methods for null in nulls_of_method(method))

    @property
    def layer_metrics(self) -> tuple[LayerMetric, ...]:
        """The metrics that are computed from activations."""
        return (*BY_LAYER, *self.metrics)

    @property
    def named(self) -> tuple[questions.Named, ...]:
        """Everything that numbers can be of: methods, nulls, and what chance gives."""
        baselines = (baseline for metric in self.layer_metrics for baseline, _ in metric.baselines)
        return (*self.answering, *self.nulls, *dict.fromkeys(baselines))

    def diagnoses(self, method: Method) -> bool:
        """Whether the logit lens of a method and its attention to the demonstrations are measured."""
        return self.diagnostics and is_diagnosed(method)

    def record(self) -> dict[str, Any]:
        """The specification as plain data, the same before and after it was written as JSON."""
        return {
            **vars(self),
            "protocol": asdict(self.protocol),
            "methods": [described(method) for method in self.methods],
            "metrics": [{"name": metric.name, **_own_source(metric.values)} for metric in self.metrics],
        }

    def key(self) -> str:
        """SHA-256 of the specification: two trials with one key have the same numbers."""
        return hashlib.sha256(json.dumps(self.record(), sort_keys=True).encode()).hexdigest()


def described(method: Any) -> dict[str, Any]:
    """A method and its parameters as plain data, a method within it likewise; of the reader's own, its source too."""
    parameters = {field.name: getattr(method, field.name) for field in fields(method)}
    return {
        "kind": type(method).__name__,
        "name": getattr(method, "name", ""),
        **{name: described(value) if is_dataclass(value) else value for name, value in parameters.items()},
        **_own_source(type(method)),
    }


def _own_source(thing: Any) -> dict[str, Any]:
    """Digest of the file that defines something, where it is no part of this package; of a partial, its options too.

    Raises:
        UsageError: it is in no file, so that nobody could tell it from what it will be tomorrow.
    """
    if isinstance(thing, partial):
        return {"options": thing.keywords, **_own_source(thing.func)}
    try:
        file = Path(inspect.getsourcefile(thing) or "")
    except TypeError:
        file = Path()
    if file.is_relative_to(PACKAGE):
        return {}
    if not file.is_file():
        todo = "Write it into a file and import it from there."
        raise errors.UsageError("The source of a method or metric of your own is not found", got=repr(thing), todo=todo)
    return {"source": source_digest([file], file.parent)}


@cache
def code_digest() -> str:
    """SHA-256 of the source that makes numbers, whatever its words say, and of what tasks say of themselves."""
    files = (path for pattern in CODE_THAT_MAKES_NUMBERS for path in PACKAGE.glob(pattern))
    code = source_digest(files, PACKAGE, words=SAID_IN_PRINT)
    tasks = fixtures_folder() / "tasks"
    return hashlib.sha256((code + source_digest(tasks.glob(f"*/{TASK_FILE}"), tasks)).encode()).hexdigest()


@dataclass(frozen=True)
class Change:
    """A part in which two specifications differ.

    Args:
        where: its place, such as `k` or `methods/finetuning/learning_rate`.
        before: its value in one; None if it has none.
        after: that in the other.
    """

    where: str
    before: Any
    after: Any


def diff(before: _Record, after: _Record) -> tuple[Change, ...]:
    """The parts in which two specifications differ, in the order of their fields; methods are compared by name.

    >>> diff({"task": "sst2", "k": 16}, {"task": "sst2", "k": 8})
    (Change(where='k', before=16, after=8),)
    """
    old, new = _parts(before), _parts(after)
    changes = (Change(where, old.get(where), new.get(where)) for where in dict.fromkeys((*new, *old)))
    return tuple(change for change in changes if change.before != change.after)


def nearest(wanted: _Record, others: Iterable[_Record]) -> tuple[_Record, tuple[Change, ...]] | None:
    """The specification that shares most with a wanted one, and their diff; None if there are no others.

    The first of two that share as much is taken. A field counts once, however much of it is different.
    """

    def distance(found: tuple[_Record, tuple[Change, ...]]) -> tuple[int, int]:
        return len({change.where.partition("/")[0] for change in found[1]}), len(found[1])

    return min(((other, diff(other, wanted)) for other in others), key=distance, default=None)


def _parts(record: _Record) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for name, value in record.items():
        if name == "methods":
            for method in value:
                parts |= {f"methods/{method['name']}/{inner}": of_it for inner, of_it in method.items()}
        else:
            parts[name] = value
    return parts
