"""What clipping the gradients of layer-causal finetuning does to its similarity with in-context learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from icl_claims.report.figures.drawing import SERIES, Picture, panels, short
from icl_claims.report.names import metric_name, task_name
from icl_claims.report.numbers import number

METRICS = ("sim_aou", "sim_am", "sim_am_update")
UNCLIPPED = "none"
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

Sweep = Sequence[Mapping[str, float | None]]


def draw_clip_sweep(sweeps: Mapping[str, Sweep], profile: str) -> Picture:
    """A panel for each of `METRICS` that was measured: a line a task over evenly spaced limits, no limit last.

    Args:
        sweeps: by task, the metrics at each limit of the global L2 norm; None is unclipped.
        profile: whose trials gave the numbers.
    """
    limits = sorted({_limit(point) for sweep in sweeps.values() for point in sweep})
    metrics = [metric for metric in METRICS if any(metric in point for sweep in sweeps.values() for point in sweep)]
    figure, axes = panels(len(metrics), 3, 2.3)
    for axis, metric in zip(axes, metrics, strict=True):
        for place, (task, sweep) in enumerate(sweeps.items()):
            points = sorted(sweep, key=_limit)
            values = np.array([np.nan if point.get(metric) is None else point[metric] for point in points], dtype=float)
            marker, colour = _MARKERS[place % len(_MARKERS)], SERIES[place % len(SERIES)]
            places = [limits.index(_limit(point)) for point in points]
            axis.plot(places, values, marker=marker, color=colour, markersize=4, label=short(task_name(task)))
        axis.set_xticks(range(len(limits)), [_label(limit) for limit in limits], rotation=60 if len(limits) > 7 else 0)
        axis.set_title(metric_name(metric))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    figure.supxlabel("limit of the gradient's global L2 norm", fontsize=8)
    return Picture(
        f"clip-sweep-{profile}",
        "Layer-causal finetuning with clipped gradients (Rethinking, table 3)",
        "Each step's gradient is scaled down to the limit where its norm exceeds it; `none` is unclipped.",
        "Lines over clip limits. " + "; ".join(_sentence(task, sweep) for task, sweep in sweeps.items()),
        figure,
    )


def _limit(point: Mapping[str, float | None]) -> float:
    return float("inf") if point["clip"] is None else point["clip"]


def _label(limit: float) -> str:
    return UNCLIPPED if limit == float("inf") else f"{limit:g}"


def _sentence(task: str, sweep: Sweep) -> str:
    points = [
        f"at {_label(_limit(point))} SimAOU {number(point['sim_aou'])} and SimAM {number(point['sim_am'])}"
        for point in sorted(sweep, key=_limit)
    ]
    return f"{task_name(task)}: {', '.join(points)}"
