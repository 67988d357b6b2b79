"""Figure 1 of Rethinking: which predictions in-context learning and finetuning change, alone or both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icl_claims.report.figures.drawing import COLOURS, SERIES, Picture, panels, short
from icl_claims.tasks import title_of_task

WHO = {"shared": "changed by both", "in_context": "by in-context learning only", "finetuning": "by finetuning only"}
KINDS = ("incorrect", "correct")
_COLOURS = dict(zip(WHO, (SERIES[1], SERIES[2], SERIES[0]), strict=True))
WIDE_ENOUGH = 0.08  # share of the axis that a printed count needs

Changes = Mapping[str, Mapping[str, Mapping[str, float]]]


def draw_changes(changes: Changes, profile: str) -> Picture:
    """Two bars per task, changes to the correct and to an incorrect label, each parted by who makes them.

    Args:
        changes: By task and by `shared`, `in_context` and `finetuning`, how many are `correct` and `incorrect`.
        profile: Profile whose trials gave the numbers.
    """
    figure, axes = panels(len(changes), 3, 1.15)
    for axis, (task, counts) in zip(axes, changes.items(), strict=True):
        left = dict.fromkeys(KINDS, 0.0)
        widest = max(1.0, *(sum(counts.get(who, {}).get(kind, 0) for who in WHO) for kind in KINDS))
        for who in WHO:
            for place, kind in enumerate(KINDS):
                count = counts.get(who, {}).get(kind, 0)
                label = WHO[who] if axis is axes[0] and kind == "correct" else None
                look: Any = {"color": _COLOURS[who], "edgecolor": COLOURS["on-series"], "linewidth": 0.8}
                bar = axis.barh(place, count, left=left[kind], height=0.66, label=label, **look)
                if count >= WIDE_ENOUGH * widest:
                    axis.bar_label(bar, label_type="center", color=COLOURS["on-series"], fontsize=7)
                left[kind] += count
        axis.set_title(short(title_of_task(task)))
        axis.set_yticks(range(len(KINDS)), KINDS)
        axis.tick_params(axis="y", length=0)
        axis.set_xlim(0, widest * 1.03)
        axis.locator_params(axis="x", integer=True)
    figure.legend(loc="outside upper center", ncols=len(WHO))
    figure.supxlabel("changed predictions", fontsize=8)
    return Picture(
        f"changes-{profile}",
        "Changes of predictions against zero-shot (Rethinking, figure 1)",
        "Correct: from a wrong zero-shot answer to the right label. Incorrect: to a wrong label.",
        "Bars of changed predictions by task. " + "; ".join(_sentence(*entry) for entry in changes.items()),
        figure,
    )


def _sentence(task: str, counts: Mapping[str, Mapping[str, float]]) -> str:
    parts = [
        f"{counts.get(who, {}).get('correct', 0):g} correct and {counts.get(who, {}).get('incorrect', 0):g} incorrect "
        f"{words}"
        for who, words in WHO.items()
    ]
    return f"{title_of_task(task)}: {', '.join(parts)}"
