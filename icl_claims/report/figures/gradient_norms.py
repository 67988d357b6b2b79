"""Figure 3 of Rethinking: the norm of each layer's gradient, demonstration by demonstration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from icl_claims.report.figures.drawing import LOWEST, WIDTH, Picture, short
from icl_claims.report.figures.legend import Legend
from icl_claims.report.numbers import number
from icl_claims.tasks import title_of_task

Norms = Mapping[str, Mapping[str, Sequence[Sequence[float | None]]]]


def draw_gradient_norms(norms: Norms, profile: str, legend: Legend) -> Picture:
    """A heat map per task and method, layer by demonstration, all on one logarithmic scale.

    Args:
        norms: By task and method, for every step the L2 norm of each layer's gradient.
        profile: Profile whose trials gave the numbers.
        legend: What methods are called.
    """
    maps = {(task, m): _layers_by_step(steps) for task, by_method in norms.items() for m, steps in by_method.items()}
    tasks, methods = (list(dict.fromkeys(names)) for names in zip(*maps, strict=True))
    positive = np.concatenate([values[np.isfinite(values) & (values > 0)] for values in maps.values()])
    scale = LogNorm(positive.min(), positive.max()) if len(positive) else LogNorm(0.1, 1)
    across = min(len(tasks), 2 if len(methods) <= 2 else 1)
    rows, columns = -(-len(tasks) // across), across * len(methods)
    figure = Figure(figsize=(WIDTH, max(rows * 1.7, LOWEST)))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for place, (task, method) in enumerate((task, method) for task in tasks for method in methods):
        axis = axes[place // columns][place % columns]
        axis.set_title(f"{short(title_of_task(task))}\n{short(legend.title(method))}", fontsize=7)
        axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        values = maps.get((task, method), np.empty((0, 0)))
        if values.size:
            edges = (0.5, values.shape[1] + 0.5, 0.5, values.shape[0] + 0.5)
            look = {"norm": scale, "cmap": "cividis", "aspect": "auto", "origin": "lower", "extent": edges}
            axis.imshow(np.ma.masked_less_equal(np.ma.masked_invalid(values), 0), interpolation="none", **look)
    for spare in axes.flat[len(tasks) * len(methods) :]:
        spare.set_axis_off()
    colours = ScalarMappable(scale, "cividis")
    bar = figure.colorbar(colours, ax=axes, shrink=0.6, aspect=40, label="gradient norm, log scale")
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
        "Heat maps of gradient norms. " + "; ".join(_sentence(t, legend.title(m), maps[t, m]) for t, m in maps),
        figure,
    )


def _layers_by_step(steps: Sequence[Sequence[float | None]]) -> np.ndarray:
    rows = [[np.nan if value is None else value for value in layers] for layers in steps]
    return np.array(rows, dtype=float).reshape(len(rows), len(rows[0]) if rows else 0).T


def _sentence(task: str, method: str, values: np.ndarray) -> str:
    rows = [row[np.isfinite(row)] for row in values]
    means = [number(float(row.mean()) if len(row) else None) for row in rows] or [number(None)]
    return f"{title_of_task(task)}, {method}: mean {means[0]} in the lowest layer, {means[-1]} in the highest"
