"""One trial from the command line, printed as a table or as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any, get_args

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from icl_claims.errors import UsageError
from icl_claims.experiments.plan import Choices, plan_trials
from icl_claims.experiments.result import LAYER_METRICS, PREDICTION_METRICS, TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.trial import run_trial
from icl_claims.methods import Finetuning
from icl_claims.metrics.calibration import Calibration
from icl_claims.tasks.prompts import ProbePosition

SHOWN_OF_IN_CONTEXT = ("accuracy", "changed")


def run_and_print(
    choices: Choices,
    *,
    seed: int | None,
    permutation: int,
    learning_rate: float | None,
    probe: str,
    calibration: str | None,
    as_json: bool,
) -> None:
    """Run the trial that the arguments describe, and print it.

    Args:
        choices: of one task.
        seed: of the draw of demonstrations; None for the profile's first.
        permutation: of the demonstrations.
        learning_rate: of finetuning; None for the one of the choices.
        probe: where attention is looked at.
        calibration: of the predicted labels; None for the profile's.
        as_json: whether JSON is printed.

    Raises:
        IclClaimsError: an argument makes no sense, or model or data cannot be read.
    """
    if len(choices.tasks or ()) != 1:
        raise UsageError("--task", expected="one task", got=repr(choices.tasks))
    examples = choices.read_data()
    err = Console(stderr=True)
    loaded = choices.load_model(lambda text: err.print(text, highlight=False))
    spec = plan_trials(choices, loaded, examples)[0]
    spec = replace(
        spec,
        seed=spec.seed if seed is None else seed,
        permutation=permutation,
        probe=_one_of("--probe", probe, ProbePosition),
        calibration=spec.calibration if calibration is None else _one_of("--calibration", calibration, Calibration),
        methods=spec.methods if learning_rate is None else (Finetuning(learning_rate),),
    )
    rates = "named" if learning_rate is not None else choices.learning_rates(loaded.digest).origin
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("starting", total=1.0)
        result = run_trial(
            spec, loaded, examples[spec.task], lambda what, done: progress.update(bar, description=what, completed=done)
        )
    if as_json:
        shown = {**as_plain_data(result), "learning_rates": rates}
        sys.stdout.write(json.dumps(shown, indent=1) + "\n")
    else:
        _print(spec, result, rates)


def as_plain_data(result: TrialResult) -> dict[str, Any]:
    """A trial as JSON: its specification, one number a metric and method, by layer, predictions and provenance."""
    return {
        "spec": result.spec,
        "metrics": {
            method: {
                metric: value
                for metric in (*PREDICTION_METRICS, *LAYER_METRICS)
                if (value := _mean(result, metric, method)) is not None
            }
            for method in (*result.methods, "random_update")
        },
        "by_layer": {name: values.mean(axis=0).round(6).tolist() for name, values in result.by_layer.items()},
        "predicted": {method: result.predicted(method).tolist() for method in result.methods},
        "gold": result.gold.tolist(),
        "query_rows": result.query_rows.tolist(),
        "losses": result.losses,
        "failures": result.failures,
        "seconds": result.seconds,
        "provenance": result.provenance,
    }


def _print(spec: TrialSpec, result: TrialResult, rates: str) -> None:
    shown = result.provenance
    table = Table(
        "method",
        *(metric.replace("_", " ") for metric in (*PREDICTION_METRICS, *LAYER_METRICS)),
        title=(
            f"{spec.task}: {len(result.gold)} queries, {shown['demonstrations_in_context']} of {spec.k} demonstrations "
            f"in context, seed {spec.seed}, {shown['model']}, {shown['data']} data, calibration {spec.calibration}"
        ),
    )
    for method in (*result.methods, "random_update"):
        values = [_mean(result, metric, method) for metric in (*PREDICTION_METRICS, *LAYER_METRICS)]
        table.add_row(method, *("" if value is None else f"{value:.3f}" for value in values))
    console = Console()
    console.print(table)
    for method, reason in result.failures.items():
        console.print(f"{method}: {reason}", style="yellow")
    for note in shown["notes"]:
        console.print(note, style="yellow")
    seconds = ", ".join(f"{what} {spent:.1f} s" for what, spent in result.seconds.items())
    console.print(
        f"Changes are counted against zero-shot, similarities against in-context learning. "
        f"Learning rates: {rates}. {seconds}.",
        style="dim",
    )


def _mean(result: TrialResult, metric: str, method: str) -> float | None:
    if method in ("zero_shot", "in_context") and metric in PREDICTION_METRICS and metric not in SHOWN_OF_IN_CONTEXT:
        return None
    values = result.per_query(metric, method)
    counted = None if values is None else values[~np.isnan(values)]
    return None if counted is None or not len(counted) else round(float(counted.mean()), 6)


def _one_of(option: str, value: str, allowed: Any) -> Any:
    if value not in get_args(allowed):
        raise UsageError(option, expected=" or ".join(get_args(allowed)), got=repr(value))
    return value
