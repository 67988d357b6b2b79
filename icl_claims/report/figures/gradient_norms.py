"""Figure 3 of Rethinking: the norm of each layer's gradient, demonstration by demonstration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from icl_claims.report.figures.drawing import WIDTH, Picture, short
from icl_claims.report.names import method_name, task_name
from icl_claims.report.numbers import number

Norms = Mapping[str, Mapping[str, Sequence[Sequence[float | None]]]]


def draw_gradient_norms(norms: Norms, profile: str) -> Picture:
    """A heat map for every task and method, layer by demonstration, all on one logarithmic scale.

    Args:
        norms: by task and method, for every step the L2 norm of each layer's gradient.
        profile: whose trials gave the numbers.
    """
    maps = {(task, m): _layers_by_step(steps) for task, by_method in norms.items() for m, steps in by_method.items()}
    tasks, methods = (list(dict.fromkeys(names)) for names in zip(*maps, strict=True))
    positive = np.concatenate([values[np.isfinite(values) & (values > 0)] for values in maps.values()])
    scale = LogNorm(positive.min(), positive.max()) if len(positive) else LogNorm(0.1, 1)
    across = 2 if len(methods) <= 2 else 1
    rows, columns = -(-len(tasks) // across), across * len(methods)
    figure = Figure(figsize=(WIDTH, rows * 1.6))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for place, (task, method) in enumerate((task, method) for task in tasks for method in methods):
        axis = axes[place // columns][place % columns]
        axis.set_title(f"{short(task_name(task), 14)}, {short(_brief(method), 16)}", fontsize=8)
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
        "Heat maps of gradient norms. " + "; ".join(_sentence(*key, values) for key, values in maps.items()),
        figure,
    )


def _layers_by_step(steps: Sequence[Sequence[float | None]]) -> np.ndarray:
    rows = [[np.nan if value is None else value for value in layers] for layers in steps]
    return np.array(rows, dtype=float).reshape(len(rows), len(rows[0]) if rows else 0).T


def _brief(method: str) -> str:
    return {"finetuning": "finetuning", "layer_causal": "layer-causal"}.get(method, method_name(method))


def _sentence(task: str, method: str, values: np.ndarray) -> str:
    rows = [row[np.isfinite(row)] for row in values]
    means = [number(float(row.mean()) if len(row) else None) for row in rows] or [number(None)]
    return f"{task_name(task)}, {method_name(method)}: mean {means[0]} in the lowest layer, {means[-1]} in the highest"
