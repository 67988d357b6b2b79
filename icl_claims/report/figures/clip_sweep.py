"""What clipping the gradients of layer-causal finetuning does to its similarity with in-context learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from icl_claims.report.figures.drawing import SERIES, Picture, panels, short
from icl_claims.report.figures.legend import Legend
from icl_claims.report.numbers import number
from icl_claims.tasks import title_of_task

UNCLIPPED = "none"
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

Sweep = Sequence[Mapping[str, float | None]]


def draw_clip_sweep(sweeps: Mapping[str, Sweep], profile: str, legend: Legend) -> Picture:
    """A panel per metric: a line per task over evenly spaced limits, no limit last.

    Args:
        sweeps: By task, the metrics at each limit of the global L2 norm; None is unclipped.
        profile: Profile whose trials gave the numbers.
        legend: What metrics are called.
    """
    limits = sorted({_limit(point) for sweep in sweeps.values() for point in sweep})
    found = dict.fromkeys(name for sweep in sweeps.values() for point in sweep for name in point)
    metrics = [name for name in found if name != "clip"]
    figure, axes = panels(len(metrics), 3, 2.3)
    for axis, metric in zip(axes, metrics, strict=True):
        for place, (task, sweep) in enumerate(sweeps.items()):
            points = sorted(sweep, key=_limit)
            values = np.array([np.nan if point.get(metric) is None else point[metric] for point in points], dtype=float)
            marker, colour = _MARKERS[place % len(_MARKERS)], SERIES[place % len(SERIES)]
            places = [limits.index(_limit(point)) for point in points]
            axis.plot(places, values, marker=marker, color=colour, markersize=4, label=short(title_of_task(task)))
        axis.set_xticks(range(len(limits)), [_label(limit) for limit in limits], rotation=60 if len(limits) > 7 else 0)
        axis.set_title(legend.title(metric))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    figure.supxlabel("limit of the gradient's global L2 norm", fontsize=8)
    return Picture(
        f"clip-sweep-{profile}",
        "Layer-causal finetuning with clipped gradients (Rethinking, table 3)",
        "Each step's gradient is scaled down to the limit where its norm exceeds it; “none” is unclipped.",
        "Lines over clip limits. " + "; ".join(_sentence(*one, metrics, legend) for one in sweeps.items()),
        figure,
    )


def _limit(point: Mapping[str, float | None]) -> float:
    return float("inf") if point["clip"] is None else point["clip"]


def _label(limit: float) -> str:
    return UNCLIPPED if limit == float("inf") else f"{limit:g}"


def _sentence(task: str, sweep: Sweep, metrics: Sequence[str], legend: Legend) -> str:
    points = [
        f"at {_label(_limit(point))} "
        + " and ".join(f"{legend.title(metric)} {number(point.get(metric))}" for metric in metrics)
        for point in sorted(sweep, key=_limit)
    ]
    return f"{title_of_task(task)}: {', '.join(points)}"
