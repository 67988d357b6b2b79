"""What a trial is: a frozen specification, from which its numbers follow."""

import hashlib
import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from functools import cache
from importlib import metadata
from typing import Any, Literal, Self, TypeVar

import torch

from icl_claims import errors, models, questions
from icl_claims.experiments.description import as_plain, described_metric
from icl_claims.experiments.studies import IN_CONTEXT, ZERO_SHOT
from icl_claims.methods import Method, Null, is_diagnosed, nulls_of_method
from icl_claims.metrics import BY_LAYER, LayerMetric
from icl_claims.models.products import chosen_kernel
from icl_claims.protocol import Protocol
from icl_claims.storage.source_code import PACKAGE, source_digest
from icl_claims.storage.store import GROUP
from icl_claims.tasks import TaskData

Thing = TypeVar("Thing", bound=questions.Named)
_Record = Mapping[str, Any]
CODE_THAT_MAKES_NUMBERS = (
    *("metrics/*.py", "tasks/*.py", "models/*.py", "methods/*.py"),
    *(f"experiments/{room}.py" for room in ("batches", "description", "progress", "result", "spec", "trial")),
    "storage/checksummed.py",
)
"""Everything that makes numbers, puts those of batches together, or says which are made."""
COMPARED = ("methods", "metrics", "diagnostics")
"""What trials of one setting may differ in: what is compared, and what is measured of it."""
MAKE_NUMBERS = ("torch", "transformers", "tokenizers", "numpy")
"""The libraries whose own code makes numbers."""
SAID_IN_PRINT = ("title", "definition", "formula", "source", "look", "drawn_by_layer")
"""Names of what metrics and methods say of themselves in print and in figures, on which no number depends."""


def kernels(device: str) -> str:
    """Which kernels of attention and of matrix products torch may choose from in this process on a kind of device.

    The one that computes products of float32 on the CPU is chosen already, where need be by a short measurement.
    """
    chosen_from = ("cudnn", "flash", "math", "mem_efficient")
    attention = [name for name in chosen_from if getattr(torch.backends.cuda, f"{name}_sdp_enabled")()]
    by = f", float32 by {chosen_kernel()}" if device == "cpu" else ""
    return f"attention {' '.join(attention)}, products {torch.get_float32_matmul_precision()}{by}"


def number_makers() -> dict[str, str]:
    """The versions of the libraries whose own code makes numbers."""
    return {name: metadata.version(name) for name in MAKE_NUMBERS}


@cache
def code_digest() -> str:
    """SHA-256 of the source that makes numbers, whatever its words say."""
    files = (path for pattern in CODE_THAT_MAKES_NUMBERS for path in PACKAGE.glob(pattern))
    return source_digest(files, PACKAGE, words=SAID_IN_PRINT)


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
        device: Kind of the device, such as cpu or cuda.
        kernels: Those that torch may choose from; by default found out.
        libraries: Versions of the libraries that make numbers.
        code: Digest of the code that makes the numbers.

    Raises:
        UsageError: Two methods have one name, or one is no frozen dataclass.
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
    device: str = "cpu"
    kernels: str = ""
    libraries: Mapping[str, str] = field(default_factory=number_makers, hash=False)
    code: str = field(default_factory=code_digest)

    def __post_init__(self) -> None:
        if not self.kernels:
            object.__setattr__(self, "kernels", kernels(self.device))
        names = [method.name for method in self.methods]
        method: Any
        for method in self.methods:
            if not (is_dataclass(method) and isinstance(method, Hashable)):
                todo = "Write @dataclass(frozen=True) above its class: what it learned is found by its parameters."
                raise errors.UsageError(
                    f"The method {method.name} is no frozen dataclass", got=repr(type(method)), todo=todo
                )
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
        chosen = {"permutation": 0, "queries": None, **where_run(model), **options}
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
            "libraries": dict(self.libraries),
            "protocol": asdict(self.protocol),
            "methods": [as_plain(method) for method in self.methods],
            "metrics": [described_metric(metric) for metric in self.metrics],
        }

    def setting(self) -> str:
        """Digest of all but what is compared and measured: trials of one setting share their methods' numbers."""
        return key_of(self.record())[:GROUP]

    def key(self) -> str:
        """Digest of the specification, which begins with its setting: two trials with one key have the same numbers.

        What is left to rounding is in their provenance alone: the card, the number of threads, the size of batches.
        """
        return key_of(self.record())


def key_of(record: Mapping[str, Any]) -> str:
    """The key of a trial from its specification as plain data, before or after it was written as JSON.

    Two trials with one key have the same numbers; it begins with the digest of the setting.
    """
    setting = {name: value for name, value in record.items() if name not in COMPARED}
    return _digest(setting) + _digest({name: record[name] for name in COMPARED})


def joined(specs: Iterable[TrialSpec]) -> dict[str, TrialSpec]:
    """One trial for each setting, of all that its trials compare and measure; by the digest of the setting.

    A method or metric is left out where an earlier trial has another of its name.
    """
    found: dict[str, TrialSpec] = {}
    for spec in specs:
        before = found.setdefault(setting := spec.setting(), spec)
        methods, own = _each_name(before.methods, spec.methods), _each_name(before.metrics, spec.metrics)
        diagnostics = before.diagnostics or spec.diagnostics
        found[setting] = replace(before, methods=methods, metrics=own, diagnostics=diagnostics)
    return found


def _each_name(things: tuple[Thing, ...], more: Iterable[Thing]) -> tuple[Thing, ...]:
    names = {one.name for one in things}
    return (*things, *(one for one in more if one.name not in names))


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:GROUP]


def where_run(model: models.LanguageModel) -> dict[str, str]:
    """The dtype and the kind of device of a model."""
    return {"dtype": str(model.dtype).removeprefix("torch."), "device": model.device.type}


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
        elif isinstance(value, Mapping):
            parts |= {f"{name}/{inner}": of_it for inner, of_it in value.items()}
        else:
            parts[name] = value
    return parts
