"""A badge: the words of a run, or of one claim, as a small picture."""

from collections import Counter
from collections.abc import Mapping
from html import escape

from icl_claims.errors import ReportError
from icl_claims.report.document import Document
from icl_claims.report.verdicts import VERDICTS, WORST_FIRST

COLOURS: Mapping[str, str] = {
    "supported": "#1a7f37",
    "consistent": "#0e7490",
    "refuted": "#b42318",
    "inconsistent": "#b42318",
    "vacuous": "#7a3e9d",
    "inconclusive": "#8a5a00",
    "not run": "#57606a",
    "error": "#b42318",
}
"""Of the right half; white letters on each have a contrast of at least 4.5 to 1."""
LEFT = "#24292f"
_HEIGHT, _LETTER, _ROOM = 20, 6.6, 12.0


def badge_of_run(document: Document) -> str:
    """How many claims got each word, as SVG; in the colour of supported ones unless a test broke."""
    counts = Counter(claim["verdict"] for claim in document["claims"])
    said = ", ".join(f"{counts[word]} {word}" for word in VERDICTS if counts[word] and word != "not run")
    return badge("claims", said or "not run", "error" if counts["error"] else "supported" if said else "not run")


def badge_of_claim(document: Document, name: str) -> str:
    """The word of a claim, the worst over all evidence that there is, as SVG.

    Raises:
        ReportError: The run has no such claim.
    """
    found = {claim["verdict"] for claim in document["claims"] if claim["id"] == name and not claim["condition"]}
    if not found:
        some = ", ".join(sorted({claim["id"] for claim in document["claims"]})[:8])
        raise ReportError("The run has no such claim", expected=f"an id such as {some}", got=repr(name))
    asked = found - {"not run"} or found
    word = min(asked, key=WORST_FIRST.index)
    return badge(name, word, word)


def badge(left: str, right: str, word: str) -> str:
    """Two texts side by side as SVG, the right one in the colour of a word."""
    widths = [_ROOM + _LETTER * len(text) for text in (left, right)]
    total, title = sum(widths), escape(f"{left}: {right}")
    centres, flat = (widths[0] / 2, widths[0] + widths[1] / 2), widths[1] - 3
    texts = "".join(
        f'<text x="{centre:.1f}" y="14" textLength="{width - _ROOM:.1f}">{escape(text)}</text>'
        for text, centre, width in zip((left, right), centres, widths, strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total:.1f}" height="{_HEIGHT}" role="img" '
        f'aria-label="{title}"><title>{title}</title>'
        f'<rect width="{total:.1f}" height="{_HEIGHT}" rx="3" fill="{LEFT}"/>'
        f'<path d="M{widths[0]:.1f} 0h{flat:.1f}a3 3 0 0 1 3 3v{_HEIGHT - 6}a3 3 0 0 1-3 3h-{flat:.1f}z" '
        f'fill="{COLOURS[word]}"/>'
        f'<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )
