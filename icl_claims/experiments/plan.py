"""From what the reader chose to a list of trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from icl_claims.errors import UsageError
from icl_claims.experiments.profiles import LearningRates, Profile, learning_rates
from icl_claims.experiments.spec import TrialSpec, code_digest
from icl_claims.experiments.studies import Study, find_study
from icl_claims.methods import at_rate
from icl_claims.models import LanguageModel
from icl_claims.models.embedded import Say
from icl_claims.models.reference import load_model, model_digest
from icl_claims.protocol import Protocol
from icl_claims.tasks import PAPERS_TASKS, TASKS, DataSource, Task, TaskData, known_task, read_own_task, real_tasks


@dataclass(frozen=True)
class Choices:
    """A profile, and what the reader changed of it; None leaves the profile's value.

    The fields are those of `icl_claims.experiments.options.OPTIONS`; `protocol` holds the readings that were named.
    """

    profile: Profile
    model: str | None = None
    data: Path | None = None
    tasks: tuple[str, ...] | None = None
    k: int | None = None
    seeds: tuple[int, ...] | None = None
    queries: int | None = None
    device: str | None = None
    dtype: str | None = None
    rates: Path | None = None
    studies: tuple[str, ...] | None = None
    tokens_per_batch: int | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def changed(self) -> tuple[str, ...]:
        """What the reader changed that can change a verdict."""
        names = ("model", "data", "tasks", "k", "seeds", "queries", "dtype", "rates")
        default = Protocol(calibration=self.profile.calibration)
        readings = [name for name, value in self.protocol.items() if value != getattr(default, name)]
        return tuple(name for name in (*names, *readings) if name in readings or getattr(self, name) is not None)

    @property
    def model_reference(self) -> str:
        """The reference of the model to load.

        Raises:
            UsageError: the profile has none and the reader named none.
        """
        reference = self.model or self.profile.model
        if reference is None:
            raise UsageError(
                f"The profile {self.profile.name} has no model of its own",
                todo="Name one: ⟨model⟩ fairseq:DIR, path:DIR or hub:NAME.",
            )
        return reference

    def load_model(self, say: Say = lambda _text: None) -> LanguageModel:
        """The model to run.

        Raises:
            UsageError: the profile has none and the reader named none.
            ModelError: it cannot be loaded, or there is no such device or dtype.
        """
        device, dtype = self.device or "auto", self.dtype or "float32"
        return load_model(self.model_reference, device=device, dtype=dtype, say=say)

    @property
    def source(self) -> DataSource:
        """Where the examples come from.

        Raises:
            DataError: the data directory is not a folder.
        """
        return self.profile.source if self.data is None else real_tasks(self.data)

    def chosen_tasks(self) -> tuple[Task, ...]:
        """The tasks to run: known ones in the catalogue's order, then the reader's, whose names have a slash.

        Raises:
            UsageError: an unknown name.
            DataError: a folder of the reader's cannot be read.
        """
        named = [
            read_own_task(Path(name)) if "/" in name or "\\" in name else known_task(name)
            for name in self.tasks or PAPERS_TASKS
        ]
        known = {task.name for task in named if not task.own}
        own = {task.name: task for task in named if task.own}
        return (*(task for task in TASKS.values() if task.name in known), *own.values())

    def chosen_studies(self) -> tuple[str, ...]:
        """The studies that are run where a claim asks for them.

        Raises:
            UsageError: an unknown name.
        """
        return self.profile.studies if self.studies is None else tuple(find_study(name).name for name in self.studies)

    def chosen_protocol(self) -> Protocol:
        """The readings that are followed.

        Raises:
            UsageError: a field has no such value.
        """
        return Protocol(**{"calibration": self.profile.calibration, **self.protocol})


@dataclass(frozen=True, eq=False)
class Run:
    """What choices come to, each thing found once.

    Args:
        data: examples by task.
        model: digest of the model.
        dtype: precision in which it is run, such as `float32`.
        rates: learning rates of the tasks.
    """

    choices: Choices
    tasks: tuple[Task, ...]
    studies: tuple[str, ...]
    protocol: Protocol
    data: Mapping[str, TaskData]
    model: str
    dtype: str
    rates: LearningRates

    @property
    def k(self) -> int:
        """The number of demonstrations."""
        return self.choices.k or self.choices.profile.k


def resolve(
    choices: Choices,
    model: LanguageModel | None = None,
    say: Say = lambda _text: None,
    *,
    own: Sequence[Task] = (),
    papers: bool = True,
) -> Run:
    """Find out what choices come to: tasks, data, rates, and the digest of the model, which is not loaded for it.

    Args:
        choices: choices of the reader.
        model: the model, if it is loaded already.
        say: told in a sentence what takes long.
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
    digest = model_digest(choices.model_reference, say=say) if model is None else model.digest
    own_model = choices.model in (None, profile.model) and profile.model is not None
    return Run(
        choices,
        tasks,
        choices.chosen_studies(),
        choices.chosen_protocol(),
        data,
        digest,
        choices.dtype or "float32" if model is None else str(model.dtype).removeprefix("torch."),
        learning_rates(profile, digest, own_model=own_model, file=choices.rates).including(profile, tasks),
    )


def plan_trials(run: Run, study: Study | str = "main") -> list[TrialSpec]:
    """The trials of a study, task by task.

    Raises:
        UsageError: no such study.
    """
    choices, asked = run.choices, find_study(study) if isinstance(study, str) else study
    specs = []
    for task in run.tasks:
        runs = choices.profile.runs(task) if choices.seeds is None else tuple((seed, 0) for seed in choices.seeds)
        base = TrialSpec(
            model=run.model,
            data=run.data[task.name].digest,
            task=task.name,
            k=run.k,
            seed=0,
            permutation=0,
            queries=choices.queries or choices.profile.queries,
            methods=tuple(at_rate(method, run.rates.by_task[task.name]) for method in asked.methods),
            metrics=asked.metrics,
            weights=asked.weights,
            dtype=run.dtype,
            protocol=run.protocol,
            diagnostics=asked.diagnostics,
            code=code_digest(),
        )
        specs += [replace(base, seed=seed, permutation=permutation) for seed, permutation in runs]
    return specs
