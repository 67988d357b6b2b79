"""What lines are called and how they look: the papers' own methods look alike in every figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from icl_claims.evidence.figure_data import known_legend
from icl_claims.report.figures.drawing import COLOURS, SERIES

_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
AT_MOST = 6  # lines beside those of the papers' own methods
TAKEN = 7  # places of methods that say their own


@dataclass(frozen=True)
class Legend:
    """The metrics and methods of a figure.

    Args:
        entries: By name: `title`; whether it is a `null`; whether it is `drawn`, a metric in figures and a method in a
            line; and `look`, the place of its line, or None.
    """

    entries: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, numbers: Mapping[str, Any]) -> Legend:
        """The legend of the numbers behind figures; runs that were saved without one get that of what we measure."""
        return cls({**known_legend(), **(numbers.get("legend") or {})})

    def title(self, name: str) -> str:
        """Name in print."""
        return str(self._entry(name)["title"])

    def is_drawn(self, metric: str) -> bool:
        """Whether a metric is drawn layer by layer."""
        return bool(self._entry(metric)["drawn"])

    def is_null(self, method: str) -> bool:
        """Whether it says what chance gives, which figures show as a band."""
        return bool(self._entry(method)["null"])

    def lines(self, methods: Iterable[str]) -> list[str]:
        """The methods that get a line: all that are to be drawn, by place, or else the first ones that there are."""
        methods = [method for method in dict.fromkeys(methods) if not self.is_null(method)]
        looks = {method: self._entry(method)["look"] for method in methods}
        drawn = sorted(filter(self.is_drawn, methods), key=lambda one: TAKEN if looks[one] is None else looks[one])
        return drawn[: TAKEN + AT_MOST] if drawn else methods[:AT_MOST]

    def looks(self, methods: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Colour and dashes of every method's line."""
        free = count(TAKEN)
        looks = ((method, self._entry(method)["look"]) for method in methods)
        return {method: _look(next(free) if look is None else look) for method, look in looks}

    def _entry(self, name: str) -> Mapping[str, Any]:
        return self.entries.get(name, {"title": name, "null": False, "drawn": True, "look": None})


def _look(place: int) -> dict[str, Any]:
    """Ink where no weights are learned, then every colour, then every colour again with other dashes."""
    if place < 2:
        return {"color": COLOURS["ink"], "linestyle": _DASHES[place]}
    again, place = divmod(place - 2, len(SERIES))
    return {"color": SERIES[place], "linestyle": _DASHES[(place + again) % len(_DASHES)]}
