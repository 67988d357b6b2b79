"""Trials from the command line, printed as tables that fit the terminal, or as JSON."""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from icl_claims import errors, models, questions, tasks
from icl_claims.experiments import activation_export, plan, profiles, studies
from icl_claims.experiments.result import Entry, TrialResult, mean_over_rows, rounded
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial import prompts_of, run_trial
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.methods import Clipping, Finetuning, InContext, LayerCausal, Method, ZeroShot, at_rate, learner_of
from icl_claims.methods.base import with_parameter
from icl_claims.metrics import METRICS, Metric, PredictionMetric, accuracy, changed, most_frequent_label
from icl_claims.pytest_plugin.claims_of_folder import collect_claims
from icl_claims.pytest_plugin.collection import asked_of_trials

EVERYTHING = "all"
SHOWN_OF_PROMPTED = (accuracy, changed, most_frequent_label)
NUMBER_WIDTH = 9  # of three digits with a sign, a point and an exponent
METHODS_SHARE = 4  # of the width, at most, has the column of methods, whose titles may be long
BORDER, CELL_BORDER = 1, 3  # rich draws a line at the left, and a line and two spaces a cell


@dataclass(frozen=True)
class TrialArguments:
    """What the options of `icl-claims trial` say besides `Choices`, each as its help says.

    Raises:
        UsageError: The bound of clipping is not above 0.
    """

    seed: int | None
    permutation: int
    methods: str
    claims: Path | None
    learning_rate: float | None
    clip: float | None
    weights: Literal["trained"] | models.Kept
    diagnostics: bool
    export_records: Path | None

    def __post_init__(self) -> None:
        if self.clip is not None and self.clip <= 0:
            raise errors.UsageError("⟨clip⟩ is too small", expected="a norm above 0", got=str(self.clip))

    @cached_property
    def own(self) -> studies.Study:
        """The methods and metrics that claims of the reader's ask about, and none of our studies measures.

        Raises:
            UsageError: No claim lies in the folder, or one names a task that is nowhere.
        """
        asked = None if self.claims is None else asked_of_trials(collect_claims(self.claims).config).own_study
        return asked or studies.Study(studies.OWN, "nothing", ())

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The arguments among the values of a command's options."""
        return cls(**{field.name: given[field.name] for field in fields(cls)})


def run_and_print(choices: profiles.Choices, arguments: TrialArguments, *, as_json: bool) -> None:
    """Run the trials that the arguments describe, one for each chosen task, and print them.

    Raises:
        IclClaimsError: An argument makes no sense, or model or data cannot be read.
    """
    out, err = Console(), Console(stderr=True)
    say = partial(err.print, highlight=False)
    load = cache(partial(choices.load_model, say))
    run, loaded = plan.resolve(choices, load=load), load()
    rates = run.rates.origin if arguments.learning_rate is None else "named"
    specs = [spec for task in run.tasks for spec in _specs_of(arguments, run, task)]
    shown = []
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("starting", total=float(len(specs)))
        for number, spec in enumerate(specs):

            def report(what: str, done: float, before: int = number, title: str = spec.task) -> None:
                progress.update(bar, description=f"{title}: {what}", completed=before + done)

            records = arguments.export_records
            if records is not None and len(specs) > 1:
                records /= spec.task if spec.weights == "trained" else f"{spec.task}_{spec.weights}"
            result = _run(spec, loaded, run.data[spec.task], report, records)
            if as_json:
                shown.append({**_as_plain_data(result), "learning_rates": rates})
            else:
                print_trial(out, result, rates)
    if as_json:
        sys.stdout.write(json.dumps(shown[0] if len(shown) == 1 else shown, indent=1) + "\n")


def _specs_of(arguments: TrialArguments, run: plan.Run, task: tasks.Task) -> list[TrialSpec]:
    planned = plan.plan_trials(replace(run, tasks=(task,)))[0]
    rate = run.rates.by_task[task.name] if arguments.learning_rate is None else arguments.learning_rate
    spec = replace(
        planned,
        methods=tuple(at_rate(method, rate) for method in _methods(arguments)),
        metrics=arguments.own.metrics,
        seed=planned.seed if arguments.seed is None else arguments.seed,
        permutation=arguments.permutation,
        weights=arguments.weights,
        diagnostics=arguments.diagnostics,
    )
    if arguments.methods != EVERYTHING:
        return [spec]
    return [spec] + [
        replace(spec, methods=tuple(at_rate(method, rate) for method in study.methods), weights=study.weights)
        for study in studies.STUDIES.values()
        if study.weights != "trained"
    ]


def _methods(arguments: TrialArguments) -> tuple[Method, ...]:
    known = {method.name: method for method in (*studies.every_method(), *arguments.own.methods)}
    names = list(known) if arguments.methods == EVERYTHING else [n.strip() for n in arguments.methods.split(",")]
    if unknown := [name for name in names if name not in known]:
        wanted = f"{EVERYTHING}, or some of {', '.join(known)}"
        raise errors.UsageError("⟨methods⟩ names an unknown one", expected=wanted, got=", ".join(unknown))
    clip = None if arguments.clip is None else Clipping(at=arguments.clip)
    return tuple(known[name] if clip is None else _clipped(known[name], clip) for name in names)


def _clipped(method: Any, clip: Clipping) -> Any:
    """A method whose gradients are clipped, also where it lies within another; in-context learning has none."""
    learner = learner_of(method)
    if isinstance(learner, InContext | ZeroShot):
        return method
    if not isinstance(learner, Finetuning | LayerCausal) or learner.clip is not None:
        wanted, todo = "methods that can be clipped, and are not clipped already", "Name the others: ⟨methods⟩ A,B."
        raise errors.UsageError("⟨clip⟩ does not fit a method", expected=wanted, got=method.name, todo=todo)
    return with_parameter(method, "clip", clip)


def _run(
    spec: TrialSpec,
    model: models.LanguageModel,
    data: tasks.TaskData,
    report: Callable[[str, float], None],
    records: Path | None,
) -> TrialResult:
    """Run a trial, or read it from the store; one whose activations are written into a folder is always run."""
    if records is None:
        store = TrialStore()
        return store.get_or_run(spec, lambda new: run_trial(new, model, data, report, checkpoint=store.checkpoint(new)))
    prompts = prompts_of(spec, model, data)
    writer = activation_export.RecordWriter(records, prompts.gold, [len(row) for row in prompts.queries.rows])
    result = run_trial(spec, model, data, report, writer.watch)
    writer.close()
    return result


def _entry(entry: Entry) -> str:
    """`sim_aou/finetuning`, with what it is compared with where that is not in-context learning."""
    compared = "" if entry.reference == studies.IN_CONTEXT.name else f"|{entry.reference}"
    return f"{entry.metric}/{entry.method}{compared}"


def _as_plain_data(result: TrialResult) -> dict[str, Any]:
    """A trial as JSON: its specification, one number per metric and method, by layer, predictions and provenance."""
    answered = [method for method in result.spec.answering if method.name in result.methods]
    return {
        "spec": result.spec.record(),
        "metrics": means(result),
        "by_layer": {_entry(entry): rounded(mean_over_rows(values), 6) for entry, values in result.by_layer.items()},
        "gradient_norms": {name: rounded(values, 6) for name, values in result.gradient_norms.items()},
        "drift": {name: rounded(values, 8) for name, values in result.drift.items()},
        "predicted": {method.name: result.predicted(method).tolist() for method in answered},
        "gold": result.gold.tolist(),
        "query_rows": result.query_rows.tolist(),
        "losses": result.losses,
        "failures": result.failures,
        "seconds": result.seconds,
        "provenance": result.provenance,
    }


def means(result: TrialResult) -> dict[str, dict[str, float]]:
    """One number per method and metric, over queries, layers and steps; metrics that a method lacks are left out."""
    return {
        method.name: {
            metric.name: round(mean, 6)
            for metric in _metrics(result)
            if _is_shown(metric, method) and not np.isnan(mean := result.mean(questions.Quantity(metric, method)))
        }
        for method in result.measured
    }


def _metrics(result: TrialResult) -> tuple[Metric, ...]:
    return (*METRICS, *result.spec.metrics)


def _is_shown(metric: Metric, method: questions.Named) -> bool:
    prompted = method in (studies.ZERO_SHOT, studies.IN_CONTEXT)
    return not (prompted and isinstance(metric, PredictionMetric)) or metric in SHOWN_OF_PROMPTED


def print_trial(console: Console, result: TrialResult, rates: str) -> None:
    """Print what a trial measured, and where its learning rates come from.

    The width of the console decides how many metrics stand side by side.
    """
    spec, shown = result.spec, result.provenance
    console.print(
        f"{spec.task}: {len(result.gold)} queries, {shown['demonstrations_in_context']} of {spec.k} "
        f"demonstrations in context, seed {spec.seed}, {shown['model']}, {spec.weights} weights, "
        f"{shown['data']} data, calibration {spec.protocol.calibration}, "
        f"separator {spec.protocol.separator}",
        style="bold",
        highlight=False,
    )
    for table in _tables(result, console.width):
        console.print(table)
    for method, reason in result.failures.items():
        console.print(f"{method}: {reason}", style="yellow")
    for note in shown["notes"]:
        console.print(note, style="yellow")
    spent = defaultdict[str, float](float)
    for name, seconds in result.seconds.items():
        spent[name.partition(" ")[0]] += seconds  # what was timed, without the names of methods
    console.print(
        "Changes are counted against zero-shot, similarities against in-context learning. "
        f"Learning rates: {rates}. Time: {', '.join(f'{what} {of_all:.1f} s' for what, of_all in spent.items())}.\n",
        style="dim",
        highlight=False,
    )


def _tables(result: TrialResult, width: int) -> Iterator[Table]:
    """The means under titles instead of names, in tables that fit the width."""
    methods, metrics = _titles(result.measured), _titles(_metrics(result))
    rows = means(result)
    held = [name for name in metrics if any(name in row for row in rows.values())]
    of_methods = min(max((len(methods[name]) for name in rows), default=0), width // METHODS_SHARE)
    for side_by_side in _that_fit({name: metrics[name] for name in held}, width - BORDER - CELL_BORDER - of_methods):
        table = Table(Column("method", overflow="fold", max_width=of_methods))
        for name in side_by_side:
            table.add_column(metrics[name], justify="right", min_width=_widest_word(metrics[name]))
        for method, row in rows.items():
            if any(name in row for name in side_by_side):
                table.add_row(methods[method], *(f"{row[name]:.3g}" if name in row else "" for name in side_by_side))
        yield table


def _titles(things: Iterable[questions.Named]) -> dict[str, str]:
    """By name the title, with the unit of a metric; the name too where two have one title."""
    titles = {one.name: f"{one.title} ({unit})" if (unit := getattr(one, "unit", "")) else one.title for one in things}
    shared = Counter(titles.values())
    return {name: title if shared[title] == 1 else f"{title} ({name})" for name, title in titles.items()}


def _that_fit(titles: Mapping[str, str], width: int) -> Iterator[list[str]]:
    """The names of columns under these titles, as many at a time as fit side by side."""
    waiting, left = list[str](), width
    for name, title in titles.items():
        needed = max(_widest_word(title), NUMBER_WIDTH) + CELL_BORDER
        if waiting and needed > left:
            yield waiting
            waiting, left = [], width
        waiting.append(name)
        left -= needed
    if waiting:
        yield waiting


def _widest_word(title: str) -> int:
    return max(map(len, title.split()))
