"""A small drawing of intervals, task by task, around the line of no difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

ROW, WIDTH, LEFT, RIGHT = 22, 520, 90, 12


def interval_plot(tasks: Sequence[dict[str, Any]], titles: dict[str, str]) -> Markup:
    """An SVG of every finding that has an interval: a dot, its bounds, and a vertical line at 0.

    Args:
        tasks: the findings of one claim, as plain data.
        titles: the tasks' printed names.
    """
    drawn = [task for task in tasks if task["low"] is not None and task["high"] is not None]
    if not drawn:
        return Markup("")
    low, high = min(0.0, *(task["low"] for task in drawn)), max(0.0, *(task["high"] for task in drawn))
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return float(round(LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / span, 1))

    height = ROW * len(drawn) + 26
    parts = [f'<line class="zero" x1="{x(0)}" y1="4" x2="{x(0)}" y2="{height - 22}"/>']
    for row, task in enumerate(drawn):
        y = ROW * row + 16
        name = escape(titles.get(task["task"], task["task"]))
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{name}</text>',
            f'<line class="{task["outcome"]}" x1="{x(task["low"])}" y1="{y}" x2="{x(task["high"])}" y2="{y}"/>',
            f'<circle class="{task["outcome"]}" cx="{x(task["difference"])}" cy="{y}" r="4"/>',
        ]
    for value, anchor in ((low, "start"), (high, "end")):
        parts.append(f'<text class="axis" x="{x(value)}" y="{height - 6}" text-anchor="{anchor}">{value:.2g}</text>')
    if low < 0 < high and min(x(0) - x(low), x(high) - x(0)) > 40:
        parts.append(f'<text class="axis" x="{x(0)}" y="{height - 6}" text-anchor="middle">0</text>')
    words = f"Difference and its interval on {len(drawn)} tasks, from {low:.2g} to {high:.2g}"
    return Markup(  # every text above is escaped
        f'<svg class="intervals" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{words}">{"".join(parts)}</svg>'
    )
