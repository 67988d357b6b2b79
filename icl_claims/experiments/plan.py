"""From what the reader chose to a list of trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from icl_claims.errors import UsageError
from icl_claims.experiments.learning_rates import LearningRates, learning_rates
from icl_claims.experiments.profiles import Profile
from icl_claims.experiments.spec import TrialSpec, code_digest
from icl_claims.experiments.studies import Study, find_study
from icl_claims.methods import at_rate
from icl_claims.models.embedded import Say
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.reference import load_model, model_digest
from icl_claims.protocol import Protocol
from icl_claims.tasks.catalogue import PAPERS_TASKS, Task, known_task
from icl_claims.tasks.examples import TaskData
from icl_claims.tasks.sources import DataSource, real_tasks


@dataclass(frozen=True)
class ModelIdentity:
    """A model that need not be loaded.

    Args:
        digest: of its files.
        dtype: in which it is run, such as `float32`.
    """

    digest: str
    dtype: str


@dataclass(frozen=True)
class Choices:
    """A profile, and what the reader changed of it; None leaves the profile's value.

    Args:
        profile: the set-up to start from.
        model: reference of a model.
        data: folder of the real tasks; None for the profile's data source.
        tasks: names of the tasks to run.
        k: demonstrations.
        seeds: of the draws of demonstrations, each in its drawn order.
        queries: queries a task.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `spread`.
        dtype: of the model; float32 by default.
        rates: file of learning rates that `icl-claims tune` wrote; by default the one in the cache.
        studies: that are run where a claim asks for them.
        tokens_per_batch: of queries that are answered at once; by default as many as fit the free memory.
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

    @property
    def changed(self) -> tuple[str, ...]:
        """What the reader changed that can change a verdict."""
        names = ("model", "data", "tasks", "k", "seeds", "queries", "dtype", "rates")
        return tuple(name for name in names if getattr(self, name) is not None)

    @property
    def model_reference(self) -> str:
        """The reference of the model to load.

        Raises:
            UsageError: the profile has none and the reader named none.
        """
        chosen = self.model or self.profile.model
        if chosen is None:
            raise UsageError(
                f"The profile {self.profile.name} has no model of its own",
                expected="--claims-model fairseq:DIR, path:DIR or hub:NAME",
            )
        return chosen

    def load_model(self, say: Say = lambda _text: None) -> LanguageModel:
        """The model to run.

        Raises:
            UsageError: the profile has none and the reader named none.
            ModelError: it cannot be loaded, or there is no such device or dtype.
        """
        device, dtype = self.device or "auto", self.dtype or "float32"
        return load_model(self.model_reference, device=device, dtype=dtype, say=say)

    def identify_model(self, say: Say = lambda _text: None) -> ModelIdentity:
        """What the model to run will be once it is loaded, in no time where its files were read before.

        Raises:
            UsageError: the profile has none and the reader named none.
            ModelError: it is not there.
        """
        return ModelIdentity(model_digest(self.model_reference, say=say), self.dtype or "float32")

    def learning_rates(self, digest: str) -> LearningRates:
        """The learning rates of the model of a digest.

        Raises:
            UsageError: the named file of rates is not there, or is about another model.
            StoreError: the file cannot be read.
        """
        own = self.model in (None, self.profile.model) and self.profile.model is not None
        return learning_rates(self.profile, digest, own_model=own, file=self.rates)

    @property
    def source(self) -> DataSource:
        """Where the examples come from.

        Raises:
            DataError: the data directory is not a folder.
        """
        return self.profile.source if self.data is None else real_tasks(self.data)

    def chosen_tasks(self) -> tuple[Task, ...]:
        """The tasks to run, in the catalogue's order.

        Raises:
            UsageError: an unknown name.
        """
        wanted = {known_task(name).name for name in self.tasks or PAPERS_TASKS}
        return tuple(task for task in TASKS.values() if task.name in wanted)

    def chosen_studies(self) -> tuple[str, ...]:
        """The studies that are run where a claim asks for them.

        Raises:
            UsageError: an unknown name.
        """
        return self.profile.studies if self.studies is None else tuple(find_study(name).name for name in self.studies)

    def read_data(self) -> dict[str, TaskData]:
        """The examples of every chosen task.

        Raises:
            DataError: a file is missing or malformed.
        """
        return {task.name: self.source.read(task) for task in self.chosen_tasks()}


def plan_trials(
    choices: Choices, model: LanguageModel | ModelIdentity, data: Mapping[str, TaskData], study: Study | str = "main"
) -> list[TrialSpec]:
    """The trials of a study, task by task.

    Args:
        choices: of the reader.
        model: that is run, loaded or not.
        data: by task.
        study: The study, or its name.

    Raises:
        UsageError: no such study, or a choice makes no sense.
    """
    profile, rates = choices.profile, choices.learning_rates(model.digest)
    asked = find_study(study) if isinstance(study, str) else study
    specs = []
    for task in choices.chosen_tasks():
        runs = profile.runs(task) if choices.seeds is None else tuple((seed, 0) for seed in choices.seeds)
        base = TrialSpec(
            model=model.digest,
            data=data[task.name].digest,
            task=task.name,
            k=choices.k or profile.k,
            seed=0,
            permutation=0,
            queries=choices.queries or profile.queries,
            methods=tuple(at_rate(method, rates.by_task[task.name]) for method in asked.methods),
            metrics=asked.metrics,
            weights=asked.weights,
            dtype=str(model.dtype).removeprefix("torch."),
            protocol=Protocol(calibration=profile.calibration),
            diagnostics=asked.diagnostics,
            code=code_digest(),
        )
        specs += [replace(base, seed=seed, permutation=permutation) for seed, permutation in runs]
    return specs
