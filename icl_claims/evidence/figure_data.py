"""The numbers behind the papers' own figures and tables, from our trials: plain data that a report can draw."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from icl_claims import metrics, questions
from icl_claims.evidence.trials import MAIN, TrialsEvidence
from icl_claims.experiments.result import TrialResult, mean_over_rows, rounded
from icl_claims.experiments.studies import IN_CONTEXT, STANDARD, ZERO_SHOT, known_names
from icl_claims.methods import Clipping, LayerCausal, Method, Null, Reordered, variant_of

PLACES = 5
OF_CLIPPING = (metrics.sim_aou, metrics.sim_am, metrics.sim_am_update)


def figure_data(evidence: TrialsEvidence, studies: Sequence[str]) -> dict[str, Any]:
    """What can be drawn of some studies that were run.

    Returns:
        `changes`, by task: the prediction changes that both methods, only in-context learning or only finetuning make,
        to the correct label or not ("Rethinking ...", figure 1). `gradient_norms`, by task and method: a row per step
        and a column per layer, the first draw (figure 3). `by_layer`, by task, metric and method. `clip_sweep`, by
        task. `values`, by task, metric and method, the mean over queries and draws (tables 1 to 4). `legend`, by the
        name of each metric and method, how a figure calls and draws it.
    """
    by_task: dict[str, list[TrialResult]] = {}
    for name in studies:
        for task, results in evidence.results[name].items():
            if all(result.spec.weights == "trained" for result in results):
                by_task.setdefault(task, []).extend(results)
    main = evidence.results[MAIN] if MAIN in studies else {}
    shown = [one for results in by_task.values() for one in (*_metrics(results), *_drawn(results))]
    return {
        "legend": {one.name: _entry(one) for one in shown},
        "changes": {task: _changes(results) for task, results in main.items()},
        "gradient_norms": {task: _gradient_norms(results[0]) for task, results in main.items()},
        "by_layer": {task: _by_layer(results) for task, results in by_task.items()},
        "clip_sweep": {task: sweep for task, results in by_task.items() if (sweep := _clip_sweep(results))},
        "values": {task: _values(results) for task, results in by_task.items()},
    }


@cache
def known_legend() -> dict[str, dict[str, Any]]:
    """The legend of everything that the project measures, for runs that were saved without one."""
    return {name: _entry(named) for name, named in known_names().items()}


def _entry(named: questions.Named) -> dict[str, Any]:
    """The title, whether it is a null, whether it is drawn, and the place of its line, if it has one."""
    look = getattr(named, "look", None)
    if isinstance(named, metrics.Metric):
        drawn = getattr(named, "drawn_by_layer", False)
    else:
        drawn = isinstance(named, Method) and (look is not None or variant_of(named) is None)
    return {"title": named.title, "null": isinstance(named, Null | metrics.Baseline), "drawn": drawn, "look": look}


def _metrics(results: Sequence[TrialResult]) -> tuple[metrics.LayerMetric, ...]:
    """The metrics that are drawn layer by layer."""
    measured = dict.fromkeys(metric for result in results for metric in result.spec.layer_metrics)
    return tuple(metric for metric in measured if metric.drawn_by_layer)


def _changes(results: Sequence[TrialResult]) -> dict[str, dict[str, int]]:
    counts = {who: {"correct": 0, "incorrect": 0} for who in ("shared", IN_CONTEXT.name, STANDARD.name)}
    for result in (one for one in results if STANDARD.name in one.methods):
        zero_shot, icl, ft = (result.predicted(method) for method in (ZERO_SHOT, IN_CONTEXT, STANDARD))
        shared = (icl != zero_shot) & (icl == ft)
        for who, counted, label in (
            ("shared", shared, icl),
            (IN_CONTEXT.name, metrics.changed.values(icl, zero_shot).astype(bool) & ~shared, icl),
            (STANDARD.name, metrics.changed.values(ft, zero_shot).astype(bool) & ~shared, ft),
        ):
            right = label == result.gold
            counts[who]["correct"] += int((counted & right).sum())
            counts[who]["incorrect"] += int((counted & ~right).sum())
    return counts


def _gradient_norms(result: TrialResult) -> dict[str, list[list[float]]]:
    norms = {one.name: result.values_by_layer(metrics.gradient_norm(one)) for one in (STANDARD, LayerCausal())}
    return {name: rounded(found, PLACES) for name, found in norms.items() if found is not None}


def _by_layer(results: Sequence[TrialResult]) -> dict[str, dict[str, list[float]]]:
    shown: dict[str, dict[str, list[float]]] = {}
    for metric in _metrics(results):
        for method in _drawn(results):
            found = [values for result in results if (values := result.values_by_layer(metric(method))) is not None]
            layers = mean_over_rows(np.concatenate(found)) if found else np.empty(0)
            if np.isfinite(layers).any():  # what moves nothing inside has no line
                shown.setdefault(metric.name, {})[method.name] = rounded(layers, PLACES)
    return shown


def _clip_sweep(results: Sequence[TrialResult]) -> list[dict[str, float | None]]:
    """The metrics of layer-causal finetuning at each limit of the global L2 norm; None is unclipped."""
    methods = {method for result in results for method in result.spec.methods if isinstance(method, LayerCausal)}
    limits: dict[str, float | None] = {}
    for method in methods:
        if variant_of(method) is None:
            limits[method.name] = None
        elif method.clip is not None and LayerCausal(clip=Clipping(at=method.clip.at or 1.0)).name == method.name:
            limits[method.name] = method.clip.at
    if len(limits) < 2 or None not in limits.values():
        return []
    values = _values(results)
    return [
        {"clip": at, **{metric.name: values[metric.name][method] for metric in OF_CLIPPING}}
        for method, at in sorted(limits.items(), key=lambda item: np.inf if item[1] is None else item[1])
        if all(method in values.get(metric.name, {}) for metric in OF_CLIPPING)
    ]


def _values(results: Sequence[TrialResult]) -> dict[str, dict[str, float]]:
    shown: dict[str, dict[str, float]] = {}
    for metric in metrics.METRICS:
        for method in _drawn(results):
            quantity = questions.Quantity(metric, method)
            columns = [column for result in results if (column := result.column(quantity)) is not None]
            counted = np.concatenate(columns) if columns else np.array([])
            if np.isfinite(counted).any():
                shown.setdefault(metric.name, {})[method.name] = round(float(np.nanmean(counted)), PLACES)
    return shown


def _drawn(results: Sequence[TrialResult]) -> tuple[questions.Named, ...]:
    """Everything that was measured, by name, but other orders of the demonstrations."""
    measured = {named.name: named for result in results for named in result.measured}
    return tuple(named for named in measured.values() if not isinstance(named, Reordered))
