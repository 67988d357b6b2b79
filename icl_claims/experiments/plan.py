"""From what the reader chose to a list of trials."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from icl_claims.experiments import profiles, tuning
from icl_claims.experiments.spec import TrialSpec, kernels, number_makers, where_run
from icl_claims.experiments.studies import Study, find_study
from icl_claims.methods import at_rate
from icl_claims.models import LanguageModel, Say
from icl_claims.models.reference import model_digest
from icl_claims.protocol import Protocol
from icl_claims.tasks import Task, TaskData


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
