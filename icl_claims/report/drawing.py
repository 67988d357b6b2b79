"""How every picture looks, what its lines are called, and how it is saved: as SVG for a page, SVG and PDF files."""

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from cycler import cycler
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 7.4  # inches: a page's text is as wide
LOWEST = 2.2  # inches: room for a row of panels between legend and axis
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
HREF = f"{{{XLINK}}}href"
# Distinct under every common kind of colour blindness; a page puts its own shade, light or dark, in their place.
COLOURS = {
    "ink": "#1b1c1a",
    "quiet": "#5b5d58",
    "line": "#d7d8d2",
    "band": "#c3c5be",
    "on-series": "#fefefd",
    "series-1": "#0072b2",
    "series-2": "#00855f",
    "series-3": "#b36b00",
    "series-4": "#b3568a",
    "series-5": "#d55e00",
    "series-6": "#6a63b5",
}
SERIES = tuple(colour for name, colour in COLOURS.items() if name.startswith("series"))
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
_AT_MOST = 6  # lines besides those of the papers' own methods
_TAKEN = 7  # places of methods that say their own
_LONG_FRACTION = re.compile(r"-?[0-9]+\.[0-9]{4,}")
_STYLE: Any = {
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), COLOURS["quiet"]),
    **dict.fromkeys(("axes.titlecolor", "legend.labelcolor", "text.color"), COLOURS["ink"]),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.6),
    **dict.fromkeys(("axes.spines.right", "axes.spines.top", "legend.frameon", "text.parse_math"), False),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor", "savefig.facecolor", "svg.fonttype"), "none"),
    "axes.prop_cycle": cycler(color=SERIES),
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "lines.linewidth": 1.4,
    "pdf.fonttype": 42,
    "svg.hashsalt": "icl_claims",
}

ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn figure.

    Args:
        name: Name of its files and prefix of its ids; letters, digits and hyphens.
        title: What it shows, as a heading.
        caption: How to read it.
        alt: The same in words, for readers who do not see it.
        figure: Figure of matplotlib.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure

    @cached_property
    def svg(self) -> str:
        """The figure as SVG, as matplotlib writes it."""
        text = io.StringIO()
        with style():
            if (engine := self.figure.get_layout_engine()) is not None:  # it would draw a second time at each saving
                engine.execute(self.figure)
                self.figure.set_layout_engine("none")
            self.figure.savefig(text, format="svg", metadata={"Creator": "icl_claims", "Date": None})
        return text.getvalue()

    def save(self, folder: Path) -> None:
        """Save the figure as SVG and as PDF into a folder that exists."""
        (folder / f"{self.name}.svg").write_text(self.svg, encoding="utf-8")
        with style():
            metadata = {"Creator": "icl_claims", "CreationDate": None}
            self.figure.savefig(folder / f"{self.name}.pdf", format="pdf", metadata=metadata)

    def inline(self) -> Markup:
        """The SVG for a page: without prologue, its ids its own, its colours those of the page."""
        root = ElementTree.fromstring(self.svg)
        for parent in list(root.iter()):
            for child in list(parent):
                if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                    parent.remove(child)
        used = set(re.findall(r'(?:url\(|href=")#([^")]+)', self.svg))
        for element in root.iter():
            if element.get("id") not in used:
                element.attrib.pop("id", None)
            element.tail = None
            for attribute, value in list(element.attrib.items()):
                element.set(attribute, self._of_the_page(attribute, value))
        for attribute in ("width", "height", "version"):
            root.attrib.pop(attribute, None)
        root.attrib |= {"role": "img", "aria-label": self.alt, "class": "picture"}
        return Markup(ElementTree.tostring(root, encoding="unicode"))

    def _of_the_page(self, attribute: str, value: str) -> str:
        if attribute == "id":
            return f"{self.name}-{value}"
        if attribute == HREF:
            return f"#{self.name}-{value[1:]}" if value.startswith("#") else value
        if attribute == "style":
            for name, colour in COLOURS.items():
                value = value.replace(colour, f"var(--{name})")
            return value
        value = " ".join(re.sub(r"url\(#([^)]+)\)", rf"url(#{self.name}-\1)", value).split())
        places = 3 if attribute == "transform" else 1
        return _LONG_FRACTION.sub(lambda found: f"{float(found[0]):.{places}f}".rstrip("0").rstrip("."), value)


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure that is made or saved while this lasts."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # Text stays text; whoever reads it has fonts for it, whatever the one used for measuring lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support .* natively")
        yield


def short(text: str, length: int = 28) -> str:
    """A text cut so that a figure stays readable, without characters that XML forbids."""
    plain = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return plain if len(plain) <= length else plain[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"


def panels(count: int, columns: int, height: float, *, share: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels in rows of some height, in inches; they may share their scales."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, max(rows * height, LOWEST)))
    axes = list(figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share).flat)
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


class Legend(dict[str, dict[str, Any]]):
    """The metrics and methods of a figure by name; one that it does not know gets a line under its own name.

    An entry holds the `title`; whether it is a `null`, which figures show as a band; whether it is `drawn`, a metric in
    figures and a method in a line; and `look`, the place of its line, or None.
    """

    def __missing__(self, name: str) -> dict[str, Any]:
        return {"title": name, "null": False, "drawn": True, "look": None}

    def lines(self, methods: Iterable[str]) -> list[str]:
        """The methods that get a line: all that are to be drawn, by place, or else the first ones that there are."""
        methods = [method for method in dict.fromkeys(methods) if not self[method]["null"]]
        looks = {method: self[method]["look"] for method in methods if self[method]["drawn"]}
        drawn = sorted(looks, key=lambda one: _TAKEN if looks[one] is None else looks[one])
        return drawn[: _TAKEN + _AT_MOST] if drawn else methods[:_AT_MOST]

    def looks(self, methods: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Colour and dashes of every method's line."""
        free = count(_TAKEN)
        looks = ((method, self[method]["look"]) for method in methods)
        return {method: _look(next(free) if look is None else look) for method, look in looks}


def _look(place: int) -> dict[str, Any]:
    """Ink where no weights are learned, then every colour, then every colour again with other dashes."""
    if place < 2:
        return {"color": COLOURS["ink"], "linestyle": _DASHES[place]}
    again, place = divmod(place - 2, len(SERIES))
    return {"color": SERIES[place], "linestyle": _DASHES[(place + again) % len(_DASHES)]}
