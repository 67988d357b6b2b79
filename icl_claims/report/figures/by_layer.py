"""Similarity to in-context learning, layer by layer, with the band that nulls reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from icl_claims.report.figures.drawing import COLOURS, Picture, panels, short
from icl_claims.report.figures.legend import Legend
from icl_claims.report.numbers import number
from icl_claims.tasks import title_of_task

NULL_BAND = "null band"

ByMethod = Mapping[str, Sequence[float | None]]
ByLayer = Mapping[str, Mapping[str, ByMethod]]


def draw_by_layer(by_layer: ByLayer, profile: str, legend: Legend) -> Iterator[Picture]:
    """A picture per metric: a panel per task, a line per method, the nulls as a band.

    Args:
        by_layer: By task, metric and method, the mean over queries at each layer.
        profile: Profile whose trials gave the numbers.
        legend: What metrics and methods are called, and how they look.
    """
    for metric in dict.fromkeys(metric for metrics in by_layer.values() for metric in metrics):
        measured = {task: metrics[metric] for task, metrics in by_layer.items() if metrics.get(metric)}
        if measured and legend.is_drawn(metric):
            yield _draw(metric, measured, profile, legend)


def _draw(metric: str, tasks: Mapping[str, ByMethod], profile: str, legend: Legend) -> Picture:
    found = dict.fromkeys(method for methods in tasks.values() for method in methods)
    shown = legend.lines(found)
    nulls = [method for method in found if legend.is_null(method)]
    figure, axes = panels(len(tasks), 3, 1.7, share=True)
    looks = legend.looks(shown)
    for axis, (task, methods) in zip(axes, tasks.items(), strict=True):
        _draw_band(axis, [methods[null] for null in nulls if null in methods])
        for method in shown:
            if method in methods:
                values = _numbers(methods[method])
                axis.plot(range(1, len(values) + 1), values, label=short(legend.title(method), 44), **looks[method])
        axis.axhline(0, color=COLOURS["quiet"], linewidth=0.5)
        axis.set_title(short(title_of_task(task)))
        axis.margins(x=0.02)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=min(3, len(handles)))
    figure.supxlabel("layer", fontsize=8)
    name = legend.title(metric)
    figure.supylabel(name, fontsize=8)
    left_out = len(found) - len(nulls) - len(shown)
    band = "Grey: from the lowest to the highest null (random, Gaussian of the same norm, another query's update)."
    rest = f" {left_out} more methods are in claims.json." if left_out else ""
    return Picture(
        f"{metric.replace('_', '-')}-by-layer-{profile}",
        f"{name[:1].upper()}{name[1:]} by layer",
        (band if nulls else "") + rest,
        f"Lines of {name} by layer. " + "; ".join(_sentence(task, tasks[task], shown, legend) for task in tasks),
        figure,
    )


def _draw_band(axis: Axes, nulls: Sequence[Sequence[float | None]]) -> None:
    layers = min((len(values) for values in nulls), default=0)
    if layers:
        values = np.array([_numbers(null)[:layers] for null in nulls])
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)  # a layer that counts for none has no band
        axis.fill_between(range(1, layers + 1), low, high, color=COLOURS["band"], linewidth=1.5, label=NULL_BAND)


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _sentence(task: str, methods: ByMethod, shown: Sequence[str], legend: Legend) -> str:
    values = {name: float(np.nanmean(_numbers(methods[name]))) for name in shown if name in methods}
    means = ", ".join(f"{legend.title(name)} {number(mean)}" for name, mean in values.items())
    return f"{title_of_task(task)}: mean over layers of {means}"
