"""The papers' own pictures, redrawn from our runs: the same input gives the same bytes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from icl_claims.evidence.figure_data import known_legend
from icl_claims.report.drawing import COLOURS, SERIES, Legend, Picture, panels, short, style
from icl_claims.report.words import number
from icl_claims.tasks import title_of_task

_WHO = {"shared": "changed by both", "in_context": "by in-context learning only", "finetuning": "by finetuning only"}
_KINDS = ("incorrect", "correct")
_COLOUR_OF = dict(zip(_WHO, (SERIES[1], SERIES[2], SERIES[0]), strict=True))
_WIDE_ENOUGH = 0.08  # share of the axis that a printed count needs
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

_ByMethod = Mapping[str, Sequence[float | None]]
_Sweep = Sequence[Mapping[str, float | None]]
_Steps = Sequence[Sequence[float | None]]


def draw_pictures(numbers: Mapping[str, Any], profile: str) -> Iterator[Picture]:
    """Every picture that the numbers of a profile allow.

    Args:
        numbers: `changes`, `gradient_norms`, `by_layer` and `clip_sweep`, each by task, and their `legend`; any may be
            missing.
        profile: Profile whose trials gave the numbers; part of the pictures' names, as letters, digits and hyphens.
    """
    profile = re.sub(r"[^A-Za-z0-9]+", "-", profile)
    legend = Legend(known_legend() | (numbers.get("legend") or {}))  # for runs that were saved without one
    with style():
        if numbers.get("changes"):
            yield _draw_changes(numbers["changes"], profile)
        if any((numbers.get("gradient_norms") or {}).values()):
            yield _draw_gradient_norms(numbers["gradient_norms"], profile, legend)
        by_layer = numbers.get("by_layer") or {}
        for metric in dict.fromkeys(metric for metrics in by_layer.values() for metric in metrics):
            measured = {task: metrics[metric] for task, metrics in by_layer.items() if metrics.get(metric)}
            if measured and legend[metric]["drawn"]:
                yield _draw_metric(metric, measured, profile, legend)
        if numbers.get("clip_sweep"):
            yield _draw_clip_sweep(numbers["clip_sweep"], profile, legend)


def _draw_changes(changes: Mapping[str, Mapping[str, Mapping[str, float]]], profile: str) -> Picture:
    """Two bars per task, changes to the correct and to an incorrect label, each parted by who makes them."""
    figure, axes = panels(len(changes), 3, 1.15)
    for axis, (task, counts) in zip(axes, changes.items(), strict=True):
        widths = np.array([[counts.get(who, {}).get(kind, 0.0) for kind in _KINDS] for who in _WHO])
        widest = max(1.0, *widths.sum(axis=0))
        for who, width, end in zip(_WHO, widths, widths.cumsum(axis=0), strict=True):
            label = _WHO[who] if axis is axes[0] else None
            look: Any = {"color": _COLOUR_OF[who], "edgecolor": COLOURS["on-series"], "linewidth": 0.8}
            bars = axis.barh(range(len(_KINDS)), width, left=end - width, height=0.66, label=label, **look)
            shown = [f"{count:g}" if count >= _WIDE_ENOUGH * widest else "" for count in width]
            axis.bar_label(bars, shown, label_type="center", color=COLOURS["on-series"], fontsize=7)
        axis.set_title(short(title_of_task(task)))
        axis.set_yticks(range(len(_KINDS)), _KINDS)
        axis.tick_params(axis="y", length=0)
        axis.set_xlim(0, widest * 1.03)
        axis.locator_params(axis="x", integer=True)
    figure.legend(loc="outside upper center", ncols=len(_WHO))
    figure.supxlabel("changed predictions", fontsize=8)
    return Picture(
        f"changes-{profile}",
        "Changes of predictions against zero-shot (Rethinking, figure 1)",
        "Correct: from a wrong zero-shot answer to the right label. Incorrect: to a wrong label.",
        "Bars of changed predictions by task. " + "; ".join(_changes_in_words(*entry) for entry in changes.items()),
        figure,
    )


def _changes_in_words(task: str, counts: Mapping[str, Mapping[str, float]]) -> str:
    by_who = {words: counts.get(who, {}) for who, words in _WHO.items()}
    parts = (f"{n.get('correct', 0):g} correct and {n.get('incorrect', 0):g} incorrect {w}" for w, n in by_who.items())
    return f"{title_of_task(task)}: {', '.join(parts)}"


def _draw_gradient_norms(norms: Mapping[str, Mapping[str, _Steps]], profile: str, legend: Legend) -> Picture:
    """A heat map per task and method, layer by demonstration, all on one logarithmic scale."""
    maps = {(task, m): _layers_by_step(steps) for task, by_method in norms.items() for m, steps in by_method.items()}
    tasks, methods = (list(dict.fromkeys(names)) for names in zip(*maps, strict=True))
    positive = np.concatenate([values[np.isfinite(values) & (values > 0)] for values in maps.values()])
    scale = LogNorm(positive.min(), positive.max()) if len(positive) else LogNorm(0.1, 1)
    across = min(len(tasks), 2 if len(methods) <= 2 else 1)
    figure, axes = panels(len(tasks) * len(methods), across * len(methods), 1.7, share=True)
    for axis, (task, method) in zip(axes, product(tasks, methods), strict=True):
        axis.set_title(f"{short(title_of_task(task))}\n{short(legend[method]['title'])}", fontsize=7)
        axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        values = maps.get((task, method), np.empty((0, 0)))
        if values.size:
            edges = (0.5, values.shape[1] + 0.5, 0.5, values.shape[0] + 0.5)
            look: Any = {"norm": scale, "cmap": "cividis", "aspect": "auto", "origin": "lower", "extent": edges}
            axis.imshow(np.ma.masked_less_equal(np.ma.masked_invalid(values), 0), interpolation="none", **look)
    colours = ScalarMappable(scale, "cividis")
    bar = figure.colorbar(colours, ax=figure.axes, shrink=0.6, aspect=40, label="gradient norm, log scale")
    bar.ax.yaxis.set_major_locator(LogLocator(numticks=8))
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.outline.set_visible(False)
    figure.supxlabel("training demonstration", fontsize=8)
    figure.supylabel("layer, input to output", fontsize=8)
    return Picture(
        f"gradient-norms-{profile}",
        "Gradient norms by layer and demonstration (Rethinking, figure 3)",
        "L2 norm of the gradients of a layer's keys and values, freshly computed at every step, before clipping.",
        "Heat maps of gradient norms. " + "; ".join(_norms_in_words(*of, maps[of], legend) for of in maps),
        figure,
    )


def _layers_by_step(steps: _Steps) -> np.ndarray:
    return np.array(steps, dtype=float).reshape(len(steps), len(steps[0]) if steps else 0).T


def _norms_in_words(task: str, method: str, values: np.ndarray, legend: Legend) -> str:
    rows = [row[np.isfinite(row)] for row in values]
    means = [number(float(row.mean()) if len(row) else None) for row in rows] or [number(None)]
    name = f"{title_of_task(task)}, {legend[method]['title']}"
    return f"{name}: mean {means[0]} in the lowest layer, {means[-1]} in the highest"


def _draw_metric(metric: str, tasks: Mapping[str, _ByMethod], profile: str, legend: Legend) -> Picture:
    """A panel per task, a line per method over the layers, the nulls as a band."""
    found = dict.fromkeys(method for methods in tasks.values() for method in methods)
    shown = legend.lines(found)
    nulls = [method for method in found if legend[method]["null"]]
    figure, axes = panels(len(tasks), 3, 1.7, share=True)
    looks = legend.looks(shown)
    for axis, (task, methods) in zip(axes, tasks.items(), strict=True):
        _draw_band(axis, [methods[null] for null in nulls if null in methods])
        for method in shown:
            if method in methods:
                values = np.array(methods[method], dtype=float)
                axis.plot(range(1, len(values) + 1), values, label=short(legend[method]["title"], 44), **looks[method])
        axis.axhline(0, color=COLOURS["quiet"], linewidth=0.5)
        axis.set_title(short(title_of_task(task)))
        axis.margins(x=0.02)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=min(3, len(handles)))
    figure.supxlabel("layer", fontsize=8)
    name = legend[metric]["title"]
    figure.supylabel(name, fontsize=8)
    left_out = len(found) - len(nulls) - len(shown)
    band = "Grey: from the lowest to the highest null (random, Gaussian of the same norm, another query's update)."
    rest = f" {left_out} more methods are in claims.json." if left_out else ""
    return Picture(
        f"{metric.replace('_', '-')}-by-layer-{profile}",
        f"{name[:1].upper()}{name[1:]} by layer",
        (band if nulls else "") + rest,
        f"Lines of {name} by layer. " + "; ".join(_layers_in_words(task, tasks[task], shown, legend) for task in tasks),
        figure,
    )


def _draw_band(axis: Axes, nulls: Sequence[Sequence[float | None]]) -> None:
    layers = min((len(values) for values in nulls), default=0)
    if layers:
        values = np.array([null[:layers] for null in nulls], dtype=float)
        low, high = np.fmin.reduce(values), np.fmax.reduce(values)  # a layer that counts for none has no band
        axis.fill_between(range(1, layers + 1), low, high, color=COLOURS["band"], linewidth=1.5, label="null band")


def _layers_in_words(task: str, methods: _ByMethod, shown: Sequence[str], legend: Legend) -> str:
    values = {name: float(np.nanmean(np.array(methods[name], dtype=float))) for name in shown if name in methods}
    means = ", ".join(f"{legend[name]['title']} {number(mean)}" for name, mean in values.items())
    return f"{title_of_task(task)}: mean over layers of {means}"


def _draw_clip_sweep(sweeps: Mapping[str, _Sweep], profile: str, legend: Legend) -> Picture:
    """A panel per metric: a line per task over evenly spaced limits of the global L2 norm, no limit last."""
    limits = sorted({_limit(point) for sweep in sweeps.values() for point in sweep})
    found = dict.fromkeys(name for sweep in sweeps.values() for point in sweep for name in point)
    metrics = [name for name in found if name != "clip"]
    figure, axes = panels(len(metrics), 3, 2.3)
    for axis, metric in zip(axes, metrics, strict=True):
        for marker, colour, (task, sweep) in zip(cycle(_MARKERS), cycle(SERIES), sweeps.items(), strict=False):
            points = sorted(sweep, key=_limit)
            values = np.array([point.get(metric) for point in points], dtype=float)
            places = [limits.index(_limit(point)) for point in points]
            axis.plot(places, values, marker=marker, color=colour, markersize=4, label=short(title_of_task(task)))
        axis.set_xticks(range(len(limits)), [_label(limit) for limit in limits], rotation=60 if len(limits) > 7 else 0)
        axis.set_title(legend[metric]["title"])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    figure.supxlabel("limit of the gradient's global L2 norm", fontsize=8)
    return Picture(
        f"clip-sweep-{profile}",
        "Layer-causal finetuning with clipped gradients (Rethinking, table 3)",
        "Each step's gradient is scaled down to the limit where its norm exceeds it; “none” is unclipped.",
        "Lines over clip limits. " + "; ".join(_sweep_in_words(*one, metrics, legend) for one in sweeps.items()),
        figure,
    )


def _limit(point: Mapping[str, float | None]) -> float:
    return float("inf") if point["clip"] is None else point["clip"]


def _label(limit: float) -> str:
    return "none" if limit == float("inf") else f"{limit:g}"


def _sweep_in_words(task: str, sweep: _Sweep, metrics: Sequence[str], legend: Legend) -> str:
    titles = {metric: legend[metric]["title"] for metric in metrics}
    points = [
        f"at {_label(_limit(point))} " + " and ".join(f"{titles[one]} {number(point.get(one))}" for one in metrics)
        for point in sorted(sweep, key=_limit)
    ]
    return f"{title_of_task(task)}: {', '.join(points)}"
