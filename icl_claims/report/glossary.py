"""What the page says of metrics, methods and nulls, each in its own words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from html import unescape
from typing import Any
from xml.etree import ElementTree

from latex2mathml.converter import convert_to_element
from markupsafe import Markup

from icl_claims.experiments.studies import IN_CONTEXT, ZERO_SHOT, every_method, known_names
from icl_claims.methods import AnotherQuerysUpdate, GaussianUpdate, Method, Null
from icl_claims.metrics import METRICS, RANDOM_UPDATE, Baseline, Metric
from icl_claims.questions import Named
from icl_claims.report import Record


@dataclass(frozen=True)
class Term:
    """A metric or a method.

    Args:
        title: Name in print.
        definition: What it says or does, in a sentence or two.
        formula: Formula in LaTeX; empty where words say it better.
        source: Paper and place.
        unit: Unit of its values; empty for a pure number.
    """

    title: str
    definition: str = ""
    formula: str = ""
    source: str = ""
    unit: str = ""

    @classmethod
    def of(cls, named: Named) -> Term:
        """What a thing says of itself."""
        facts = {name: str(getattr(named, name, "")) for name in ("definition", "formula", "source", "unit")}
        if isinstance(named, Metric) and named.formula:
            facts["formula"] = rf"\text{{{named.title}}} = {named.formula}"
        return cls(named.title, **facts)

    @property
    def mathematics(self) -> Markup:
        """The formula as MathML; as it is where that cannot be made of it, and empty where there is none."""
        if not self.formula:
            return Markup("")
        try:
            found = convert_to_element(self.formula, display="block")
        except Exception:  # whatever the converter raises for a reader's own formula
            return Markup("<p><code>{}</code></p>").format(self.formula)
        for element in found.iter():
            element.text = unescape(element.text or "")  # symbols come as entities, and all text is escaped below
            element.attrib.pop("href", None)
        return Markup(ElementTree.tostring(found, encoding="unicode"))


def metric_terms() -> list[Term]:
    """The metrics that every trial measures."""
    return [Term.of(metric) for metric in METRICS]


def method_terms() -> list[Term]:
    """A term per kind of method, with the title of its first one."""
    methods: tuple[Method, ...] = (ZERO_SHOT, IN_CONTEXT, *every_method())
    kinds: dict[type, Method] = {}
    for method in methods:
        kinds.setdefault(type(method), method)
    return [Term.of(method) for method in sorted(kinds.values(), key=_place)]


def _place(method: Method) -> int:
    look: int | None = getattr(method, "look", None)
    return 99 if look is None else look  # perturbations of others come last


def null_definitions() -> list[str]:
    """What stands in the place of an update where it means nothing."""
    return [RANDOM_UPDATE.title, GaussianUpdate.definition, AnotherQuerysUpdate.definition]


def own_terms(asked: Iterable[Named]) -> list[dict[str, Any]]:
    """What the reader's own metrics and methods among those asked for say of themselves, as plain data."""
    known = known_names()
    own = {one.name: one for one in asked if one.name not in known and not isinstance(one, Null | Baseline)}
    return [asdict(Term.of(one)) for one in own.values()]


def own_terms_of(claims: Iterable[Record]) -> Iterator[Term]:
    """The terms that the records of a run carry, each once."""
    yield from dict.fromkeys(Term(**own) for claim in claims for own in (claim["asks"] or {}).get("own", ()))
