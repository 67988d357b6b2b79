"""Similarity to in-context learning, layer by layer, with the band that nulls reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from icl_claims.report.figures.drawing import COLOURS, LOOKS, Picture, looks_of, panels, short
from icl_claims.report.names import method_name, metric_name, task_name
from icl_claims.report.numbers import number

FIRST = ("zero_shot", *LOOKS)
METRICS = ("sim_aou", "sim_am", "sim_am_update", "lens_loss")
NULLS = ("random_update", "gaussian_of_", "other_query_of_")
AT_MOST = 6
NULL_BAND = "null band"

ByMethod = Mapping[str, Sequence[float | None]]
ByLayer = Mapping[str, Mapping[str, ByMethod]]


def draw_by_layer(by_layer: ByLayer, profile: str) -> Iterator[Picture]:
    """A picture for each of `METRICS`: a panel a task, a line a method, the nulls as a band.

    Args:
        by_layer: by task, metric and method, the mean over queries at each layer.
        profile: whose trials gave the numbers.
    """
    for metric in METRICS:
        measured = {task: metrics[metric] for task, metrics in by_layer.items() if metrics.get(metric)}
        if measured:
            yield _draw(metric, measured, profile)


def _draw(metric: str, tasks: Mapping[str, ByMethod], profile: str) -> Picture:
    shown, left_out = _methods(tasks)
    figure, axes = panels(len(tasks), 3, 1.7, share=True)
    looks = looks_of(shown)
    for axis, (task, methods) in zip(axes, tasks.items(), strict=True):
        _draw_band(axis, [values for method, values in methods.items() if method.startswith(NULLS)])
        for method in shown:
            if method in methods:
                values = _numbers(methods[method])
                axis.plot(range(1, len(values) + 1), values, label=short(method_name(method), 44), **looks[method])
        axis.axhline(0, color=COLOURS["quiet"], linewidth=0.5)
        axis.set_title(short(task_name(task)))
        axis.margins(x=0.02)
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=min(3, len(handles)))
    figure.supxlabel("layer", fontsize=8)
    figure.supylabel(metric_name(metric), fontsize=8)
    nulls = any(method.startswith(NULLS) for methods in tasks.values() for method in methods)
    band = "Grey: from the lowest to the highest null (random, Gaussian of the same norm, another query's update)."
    rest = f" Not drawn, but in claims.json: {', '.join(method_name(name) for name in left_out)}." if left_out else ""
    return Picture(
        f"{metric.replace('_', '-')}-by-layer-{profile}",
        f"{metric_name(metric)} by layer",
        (band if nulls else "") + rest,
        f"Lines of {metric_name(metric)} by layer. " + "; ".join(_sentence(task, tasks[task], shown) for task in tasks),
        figure,
    )


def _methods(tasks: Mapping[str, ByMethod]) -> tuple[list[str], list[str]]:
    """The methods that are drawn, the papers' own first, and those left out."""
    found = list(dict.fromkeys(name for methods in tasks.values() for name in methods if not name.startswith(NULLS)))
    found.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    return found[:AT_MOST], found[AT_MOST:]


def _draw_band(axis: Axes, nulls: Sequence[Sequence[float | None]]) -> None:
    layers = min((len(values) for values in nulls), default=0)
    if layers:
        values = np.array([_numbers(null)[:layers] for null in nulls])
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)  # a layer that counts for none has no band
        axis.fill_between(range(1, layers + 1), low, high, color=COLOURS["band"], linewidth=1.5, label=NULL_BAND)


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _sentence(task: str, methods: ByMethod, shown: Sequence[str]) -> str:
    means = [
        f"{method_name(name)} {number(float(np.nanmean(_numbers(methods[name]))))}" for name in shown if name in methods
    ]
    return f"{task_name(task)}: mean over layers of {', '.join(means)}"
