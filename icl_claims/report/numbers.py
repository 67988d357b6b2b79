"""Numbers as the papers print them: few digits, no zero before the point, a real minus sign."""

from __future__ import annotations

from math import floor, log10

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
FINEST = 1e-4  # no table of the papers prints more than four decimals


def number(value: float | None, digits: int = 3) -> str:
    """A number to that many significant digits, at most four decimals; a dash for nothing."""
    if value is None:
        return DASH
    size = abs(value)
    if size >= 10**digits:
        text = f"{value:,.0f}"
    elif size >= 1 or 0 < size < FINEST / 2:
        text = f"{value:.{digits}g}" if size >= 1 else f"{value:.0e}"
    else:
        places = 0 if size == 0 else min(4, digits - 1 - floor(log10(size)))
        text = f"{size:.{places}f}"
        text = ("-" if value < 0 else "") + (text[1:] if text.startswith("0.") else text)
    return text.replace("-", MINUS)


def p_value(value: float) -> str:
    """A p value to two significant digits, with its sign of relation: `= .11` or `< .0001`."""
    return f"< {number(FINEST)}" if value < FINEST else f"= {number(value, 2)}"


def interval(low: float | None, high: float | None) -> str:
    """Both bounds of an interval; a dash where it is not known."""
    return DASH if low is None or high is None else f"[{number(low)}, {number(high)}]"


def duration(seconds: float) -> str:
    """Seconds in words: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
