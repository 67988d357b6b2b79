"""The numbers behind the papers' own figures and tables, from our trials: plain data that a report can draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from icl_claims.evidence.trials import Results, TrialsEvidence
from icl_claims.experiments.result import METRICS, SIMILARITIES, TrialResult, mean_over_rows, rounded
from icl_claims.metrics import predictions

PLACES = 5
CLIPPED = "layer_causal_clip_"
GRADIENTS = ("finetuning", "layer_causal")
SHOWN_BY_LAYER = (*SIMILARITIES, "lens_loss")


def pictures(evidence: TrialsEvidence, studies: Iterable[str]) -> dict[str, Any]:
    """What can be drawn of some studies.

    Args:
        evidence: the trials.
        studies: names of those that were run, beside the main one.

    Returns:
        `changes`, by task: the prediction changes that both methods, only in-context learning or only finetuning make,
        to the correct label or not ("Rethinking ...", figure 1). `gradient_norms`, by task and method: a row a step and
        a column a layer, the first draw (figure 3). `by_layer`, by task, metric and method. `clip_sweep`, by task.
        `values`, by task, metric and method, the mean over queries and draws (tables 1 to 4).
    """
    by_task: dict[str, list[TrialResult]] = {}
    for name in ("main", *studies):
        found: Results = evidence.results if name == "main" else evidence.study(name)
        for task, results in found.items():
            if all(result.spec["weights"] == "trained" for result in results):
                by_task.setdefault(task, []).extend(results)
    return {
        "changes": {task: _changes(evidence.results[task]) for task in evidence.results},
        "gradient_norms": {task: _gradient_norms(evidence.results[task][0]) for task in evidence.results},
        "by_layer": {task: _by_layer(results) for task, results in by_task.items()},
        "clip_sweep": {task: sweep for task, results in by_task.items() if (sweep := _clip_sweep(results))},
        "values": {task: _values(results) for task, results in by_task.items()},
    }


def _changes(results: Sequence[TrialResult]) -> dict[str, dict[str, int]]:
    counts = {who: {"correct": 0, "incorrect": 0} for who in ("shared", "in_context", "finetuning")}
    for result in results:
        if "finetuning" not in result.methods:
            continue
        zero_shot, icl, ft = (result.predicted(name) for name in ("zero_shot", "in_context", "finetuning"))
        shared = (icl != zero_shot) & (icl == ft)
        for who, counted, label in (
            ("shared", shared, icl),
            ("in_context", predictions.changed(icl, zero_shot).astype(bool) & ~shared, icl),
            ("finetuning", predictions.changed(ft, zero_shot).astype(bool) & ~shared, ft),
        ):
            right = label == result.gold
            counts[who]["correct"] += int((counted & right).sum())
            counts[who]["incorrect"] += int((counted & ~right).sum())
    return counts


def _gradient_norms(result: TrialResult) -> dict[str, list[list[float]]]:
    return {
        method: rounded(result.gradient_norms[method], PLACES)
        for method in GRADIENTS
        if method in result.gradient_norms
    }


def _by_layer(results: Sequence[TrialResult]) -> dict[str, dict[str, list[float]]]:
    shown: dict[str, dict[str, list[float]]] = {}
    for metric in SHOWN_BY_LAYER:
        methods = dict.fromkeys(method for result in results for method in result.measured)
        for method in (name for name in methods if "_order_" not in name):
            found = [values for result in results if (values := result.values_by_layer(metric, method)) is not None]
            if found:
                shown.setdefault(metric, {})[method] = rounded(mean_over_rows(np.concatenate(found)), PLACES)
    return shown


def _clip_sweep(results: Sequence[TrialResult]) -> list[dict[str, float | None]]:
    values = _values(results)
    clips: dict[str, float | None] = {"layer_causal": None}
    for method in values.get("sim_aou", {}):
        if method.startswith(CLIPPED) and method.removeprefix(CLIPPED).replace(".", "", 1).isdigit():
            clips[method] = float(method.removeprefix(CLIPPED))
    if len(clips) == 1:
        return []
    return [
        {"clip": at, **{metric: values[metric][method] for metric in ("sim_aou", "sim_am", "sim_am_update")}}
        for method, at in sorted(clips.items(), key=lambda item: np.inf if item[1] is None else item[1])
        if all(method in values.get(metric, {}) for metric in ("sim_aou", "sim_am", "sim_am_update"))
    ]


def _values(results: Sequence[TrialResult]) -> Mapping[str, dict[str, float]]:
    shown: dict[str, dict[str, float]] = {}
    methods = dict.fromkeys(method for result in results for method in result.measured)
    for metric in METRICS:
        for method in (name for name in methods if "_order_" not in name):
            columns = [column for result in results if (column := result.column(metric, method)) is not None]
            counted = np.concatenate(columns) if columns else np.array([])
            if np.isfinite(counted).any():
                shown.setdefault(metric, {})[method] = round(float(np.nanmean(counted)), PLACES)
    return shown
