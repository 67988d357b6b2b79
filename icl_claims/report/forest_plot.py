"""A forest plot, a row per task: difference and interval, the paper's number, the null band, the pooled effect.

Each row is a drawing of its own without text, for a table that has the words; it is stretched to the width of its
column, which is why its lines keep their weight and a dot is a line without length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from icl_claims.report.words import number

HEIGHT, MIDDLE = 10, 5
NARROWEST = 0.8  # percent of the width that a null band of one value takes

_Finding = dict[str, Any]


@dataclass(frozen=True)
class ForestPlot:
    """A plot in pieces.

    Args:
        rows: A drawing for each finding, empty where there is no difference.
        pooled: The drawing of the effect over all tasks, empty where there is none.
        ends: The values at the left and the right end, as text.
        zero: Place of no difference, in percent of the width.
    """

    rows: tuple[Markup, ...]
    pooled: Markup
    ends: tuple[str, str]
    zero: float


def forest_plot(findings: Sequence[_Finding], effect: dict[str, float | None] | None) -> ForestPlot | None:
    """A plot of all findings of a claim on one scale, which includes 0; None where nothing has a difference.

    Args:
        findings: What the tasks say.
        effect: `estimate`, `low` and `high` over all tasks.
    """
    pooled = effect or {"estimate": None, "low": None, "high": None}
    values = [finding[name] for finding in findings for name in ("difference", "low", "high", "printed")]
    values += [finding[name] for finding in findings for name in ("null_low", "null_high")]
    seen = [value for value in (*values, *pooled.values()) if value is not None]
    if all(finding["difference"] is None for finding in findings) or not seen:
        return None
    low, high = min(0.0, *seen), max(0.0, *seen)
    scale = _Scale(low, (high - low) or 1.0)
    return ForestPlot(
        rows=tuple(_row(finding, scale) for finding in findings),
        pooled=_pooled(pooled, scale),
        ends=(number(low, 2), number(high, 2)),
        zero=scale(0.0),
    )


@dataclass(frozen=True)
class _Scale:
    low: float
    span: float

    def __call__(self, value: float) -> float:
        """A value's place in percent of the width, a little away from both ends."""
        return float(round(2 + 96 * (value - self.low) / self.span, 1))


def _row(finding: _Finding, scale: _Scale) -> Markup:
    if finding["difference"] is None:
        return Markup("")
    parts = []
    if finding["null_low"] is not None and finding["null_high"] is not None:
        left = scale(finding["null_low"])
        right = max(scale(finding["null_high"]), left + NARROWEST)
        parts.append(f'<path class="null" d="M{left:g} 0H{right:g}V{HEIGHT}H{left:g}z"/>')
    parts.append(_zero(scale))
    if finding["low"] is not None and finding["high"] is not None:
        parts.append(f'<path d="M{scale(finding["low"]):g} {MIDDLE}H{scale(finding["high"]):g}"/>')
    parts.append(f'<path class="dot" d="M{scale(finding["difference"]):g} {MIDDLE}h.01"/>')
    if finding["printed"] is not None:
        parts.append(f'<path class="tick" d="M{scale(finding["printed"]):g} 1V9"/>')
    return _drawing(finding["outcome"], parts)


def _pooled(effect: dict[str, float | None], scale: _Scale) -> Markup:
    low, estimate, high = effect["low"], effect["estimate"], effect["high"]
    if low is None or estimate is None or high is None:
        return Markup("")
    x = f"{scale(estimate):g}"
    diamond = f'<path class="diamond" d="M{scale(low):g} {MIDDLE}L{x} 1L{scale(high):g} {MIDDLE}L{x} 9z"/>'
    return _drawing("pooled", [_zero(scale), diamond])


def _zero(scale: _Scale) -> str:
    return f'<path class="zero" d="M{scale(0.0):g} 0V{HEIGHT}"/>'


def _drawing(kind: str, parts: Sequence[str]) -> Markup:
    box = f'viewBox="0 0 100 {HEIGHT}" preserveAspectRatio="none" aria-hidden="true"'
    return Markup(f'<svg class="forest {kind}" {box}>{"".join(parts)}</svg>')  # nothing in it but numbers and our words
