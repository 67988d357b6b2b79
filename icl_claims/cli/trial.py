"""Trials from the command line, printed as a table each, or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from icl_claims.cli.trial_table import means, print_trial
from icl_claims.errors import UsageError
from icl_claims.experiments.activation_export import RecordWriter
from icl_claims.experiments.plan import Choices, plan_trials
from icl_claims.experiments.result import TrialResult, mean_over_rows, rounded
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import STUDIES, every_method
from icl_claims.experiments.trial import Watch, prompts_of, run_trial
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.methods import Clipping, Finetuning, InContext, LayerCausal, Method, ZeroShot, learner_of
from icl_claims.models.language_model import LanguageModel
from icl_claims.models.untrained import Kept
from icl_claims.protocol import (
    Agreement,
    Calibration,
    ClippedNorm,
    Loss,
    Order,
    ProbePosition,
    RandomBaseline,
    Truncation,
)
from icl_claims.tasks.examples import TaskData

EVERYTHING = "all"


@dataclass(frozen=True)
class TrialArguments:
    """What the command line says about trials; None leaves what the profile says.

    Args:
        methods: names with commas, or `all`, which also runs untrained models.
        seed: of the draw of demonstrations; None for the profile's first.
        permutation: of the demonstrations.
        learning_rate: of finetuning.
        loss: which tokens are learned.
        clip: at which norm gradients are clipped; None for not at all.
        clip_norm: which norm.
        weights: `trained`, or what an untrained model keeps.
        probe: where attention is looked at.
        truncation: whether finetuning sees only what fits into the context.
        order: in which order finetuning sees permuted demonstrations.
        random_baseline: what is drawn for the random SimAOU.
        agreement: when two prediction changes agree.
        calibration: of the predicted labels.
        diagnostics: whether the logit lens and the attention to the demonstrations are measured.
        records: folder that gets all activations in the authors' layout.
    """

    methods: str = "finetuning"
    seed: int | None = None
    permutation: int = 0
    learning_rate: float | None = None
    loss: str = "all_tokens"
    clip: float | None = None
    clip_norm: str = "global_l2"
    weights: str = "trained"
    probe: str = "label_token"
    truncation: str = "in_context"
    order: str = "authors"
    random_baseline: str = "update"
    agreement: str = "same_label"
    calibration: str | None = None
    diagnostics: bool = True
    records: Path | None = None


def run_and_print(choices: Choices, arguments: TrialArguments, *, as_json: bool) -> None:
    """Run the trials that the arguments describe, one for each chosen task, and print them.

    Raises:
        IclClaimsError: an argument makes no sense, or model or data cannot be read.
    """
    _check(arguments)
    examples = choices.read_data()
    out, err = Console(), Console(stderr=True)
    loaded = choices.load_model(lambda text: err.print(text, highlight=False))
    named = arguments.learning_rate is not None
    rates = "named" if named else choices.learning_rates(loaded.digest).origin
    specs = [
        variant
        for task in examples
        for variant in _specs_of(arguments, choices, loaded, {task: examples[task]}, rate_is_named=named)
    ]
    shown = []
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("starting", total=float(len(specs)))
        for number, spec in enumerate(specs):

            def report(what: str, done: float, before: int = number, title: str = spec.task) -> None:
                progress.update(bar, description=f"{title}: {what}", completed=before + done)

            result = _run(spec, loaded, examples[spec.task], report, arguments.records, alone=len(specs) == 1)
            if as_json:
                shown.append({**as_plain_data(result), "learning_rates": rates})
            else:
                print_trial(out, result, rates)
    if as_json:
        sys.stdout.write(json.dumps(shown[0] if len(shown) == 1 else shown, indent=1) + "\n")


def _check(arguments: TrialArguments) -> None:
    allowed: dict[str, Any] = {
        "loss": Loss,
        "clip_norm": ClippedNorm,
        "probe": ProbePosition,
        "truncation": Truncation,
        "order": Order,
        "random_baseline": RandomBaseline,
        "agreement": Agreement,
    }
    for name, values in allowed.items():
        _one_of(f"--{name.replace('_', '-')}", getattr(arguments, name), get_args(values))
    if arguments.calibration is not None:
        _one_of("--calibration", arguments.calibration, get_args(Calibration))
    _one_of("--weights", arguments.weights, ("trained", *get_args(Kept)))
    if arguments.clip is not None and arguments.clip <= 0:
        raise UsageError("--clip", expected="a norm above 0", got=str(arguments.clip))


def _specs_of(
    arguments: TrialArguments,
    choices: Choices,
    model: LanguageModel,
    data: dict[str, TaskData],
    *,
    rate_is_named: bool,
) -> list[TrialSpec]:
    (task,) = data
    planned = plan_trials(replace(choices, tasks=(task,)), model, data)[0]
    rate = choices.learning_rates(model.digest).by_task[task]
    if rate_is_named and arguments.learning_rate is not None:
        rate = arguments.learning_rate
    named = ("permutation", "weights", "probe", "truncation", "order", "random_baseline", "agreement", "diagnostics")
    chosen: dict[str, Any] = {name: getattr(arguments, name) for name in named}
    optional = {"seed": arguments.seed, "calibration": arguments.calibration}
    chosen |= {name: value for name, value in optional.items() if value is not None}
    spec = replace(planned, methods=_methods(arguments, rate), **chosen)
    if arguments.methods != EVERYTHING:
        return [spec]
    untrained = [study for study in STUDIES.values() if study.weights != "trained"]
    return [spec, *(replace(spec, methods=study.methods(rate), weights=study.weights) for study in untrained)]


def _methods(arguments: TrialArguments, rate: float) -> tuple[Method, ...]:
    known = {method.name: method for method in every_method(rate)}
    names = list(known) if arguments.methods == EVERYTHING else [n.strip() for n in arguments.methods.split(",")]
    if unknown := [name for name in names if name not in known]:
        raise UsageError("--methods", expected=f"{EVERYTHING}, or some of {', '.join(known)}", got=", ".join(unknown))
    chosen = (_with(known[name], "loss", arguments.loss) for name in names)
    if arguments.clip is None:
        return tuple(chosen)
    norm: Any = arguments.clip_norm
    clip = Clipping(norm, arguments.clip)
    return tuple(_clipped(method, clip) for method in chosen)


def _clipped(method: Any, clip: Clipping) -> Any:
    """A method whose gradients are clipped, also where it lies within another; in-context learning has none."""
    learner = learner_of(method)
    if isinstance(learner, InContext | ZeroShot):
        return method
    if not isinstance(learner, Finetuning | LayerCausal) or learner.clip is not None:
        raise UsageError(
            "--clip",
            expected="methods that can be clipped, and are not clipped already",
            got=method.name,
            todo="Name the others with --methods.",
        )
    return _with(method, "clip", clip)


def _with(method: Any, name: str, value: Any) -> Any:
    """A method with one parameter set, also where the method lies within another."""
    named = {field.name: getattr(method, field.name) for field in fields(method)}
    inner = {
        field: _with(held, name, value) for field, held in named.items() if field == "method" and is_dataclass(held)
    }
    return replace(method, **inner, **({name: value} if name in named else {}))


def _run(
    spec: TrialSpec,
    model: LanguageModel,
    data: TaskData,
    report: Callable[[str, float], None],
    records: Path | None,
    *,
    alone: bool,
) -> TrialResult:
    if records is None:
        store = TrialStore()
        return store.get_or_run(spec, lambda: run_trial(spec, model, data, report, checkpoint=store.checkpoint(spec)))
    prompts = prompts_of(spec, model, data)
    folder = records if alone else records / (spec.task if spec.weights == "trained" else f"{spec.task}_{spec.weights}")
    writer = RecordWriter(folder, prompts.gold, [len(row) for row in prompts.queries.rows])
    watch: Watch = writer.watch
    result = run_trial(spec, model, data, report, watch)
    writer.close()
    return result


def as_plain_data(result: TrialResult) -> dict[str, Any]:
    """A trial as JSON: its specification, one number a metric and method, by layer, predictions and provenance."""
    return {
        "spec": result.spec,
        "metrics": means(result),
        "by_layer": {name: rounded(mean_over_rows(values), 6) for name, values in result.by_layer.items()},
        "gradient_norms": {name: rounded(values, 6) for name, values in result.gradient_norms.items()},
        "drift": {name: rounded(values, 8) for name, values in result.drift.items()},
        "predicted": {method: result.predicted(method).tolist() for method in result.methods},
        "gold": result.gold.tolist(),
        "query_rows": result.query_rows.tolist(),
        "losses": result.losses,
        "failures": result.failures,
        "seconds": result.seconds,
        "provenance": result.provenance,
    }


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(option, expected=" or ".join(allowed), got=repr(value))
