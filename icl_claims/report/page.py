"""The page of a run, claims.html: one text without any outside resource."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from icl_claims.protocol import DIFFERENCES
from icl_claims.report import Record
from icl_claims.report.document import VERDICTS, Document
from icl_claims.report.figure_cache import CachedFigure
from icl_claims.report.figures import Picture
from icl_claims.report.forest_plot import ForestPlot, forest_plot
from icl_claims.report.glossary import method_terms, metric_terms, null_definitions, own_terms_of
from icl_claims.report.ledger import entries_of, sections_of
from icl_claims.report.provenance import command_of, in_words, keys_of_listings, listings_of, other_facts
from icl_claims.report.tables import papers_tables
from icl_claims.report.words import (
    SOURCE_NAMES,
    by_the_rule,
    duration,
    interval,
    number,
    paper_name,
    source_name,
    verdict_sentence,
)
from icl_claims.tasks import title_of_task

COLUMNS = ("printed", "author_runs", "trials", "exact")  # of the ledger: its sources in their order
_SIDES = {"left": "value", "right": "against"}


def render_page(document: Document, pictures: Mapping[str, Sequence[Picture | CachedFigure]]) -> str:
    """The page.

    Args:
        document: Document of a run, complete.
        pictures: By profile, what was drawn from its numbers.
    """
    claims, run = document["claims"], document["run"]
    entries, listings = entries_of(claims), listings_of(claims)
    return (
        page_environment()
        .get_template("claims.html.jinja")
        .render(
            run=run,
            command_of=lambda claim: command_of(claim, run["options"]),
            listings_of=lambda claim: [listings[key] for _, key in keys_of_listings(claim)],
            entries=entries,
            sections=sections_of(entries),
            section_names=sorted({entry.section for entry in entries}),
            anchors={entry.anchor for entry in entries},
            counts=_counts(claims),
            words=VERDICTS,
            sources={source: SOURCE_NAMES[source] for source in COLUMNS},
            papers=dict.fromkeys(claim["paper"] for claim in claims),
            listings=list(listings.values()),
            pictures={profile: drawn for profile, drawn in pictures.items() if drawn},
            tables=papers_tables(document["pictures"]),
            coverage=document["coverage"],
            metrics=metric_terms(),
            methods=method_terms(),
            nulls=null_definitions(),
            own_terms=list(own_terms_of(claims)),
            differences=DIFFERENCES,
        )
    )


@cache
def page_environment() -> Environment:
    """What every page is made with: all text is escaped, and nothing may be missing."""
    environment = Environment(
        loader=PackageLoader("icl_claims", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "by_the_rule": by_the_rule,
        "tasks_of": _tasks_of,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "day": _day,
        "duration": duration,
        "facts": other_facts,
        "forest_plot": _forest_plot,
        "interval": interval,
        "marked": _marked,
        "name_of": lambda claim: f"{claim['id']}, {source_name(claim['source'], claim['profile'])}",
        "number": number,
        "paper": paper_name,
        "sentence": verdict_sentence,
        "side": lambda claim, side: claim["quantity"][side]["title"] if claim["quantity"] else _SIDES[side],
        "source": source_name,
        "task": title_of_task,
        "words": in_words,
    }
    return environment


def _forest_plot(claim: Record) -> ForestPlot | None:
    """The plot of a record; on printed numbers, which are the paper's own, without ticks for these."""
    own = claim["source"] == "printed"
    tasks = [{**finding, "printed": None} if own else finding for finding in claim["tasks"]]
    return forest_plot(tasks, claim["effect"])


def _counts(claims: Iterable[Record]) -> dict[str, dict[str, int]]:
    """By source and profile: how many claims got each word; what claims need is counted apart."""
    counts: dict[str, dict[str, int]] = {}
    ranked = sorted(claims, key=lambda claim: (bool(claim["condition"]), COLUMNS.index(claim["source"])))
    for claim in ranked:
        name = "what claims need" if claim["condition"] else source_name(claim["source"], claim["profile"])
        row = counts.setdefault(name, dict.fromkeys(VERDICTS, 0))
        row[claim["verdict"]] += 1
    return counts


def _tasks_of(comparisons: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every task that one of some comparisons is about, each once."""
    return list(dict.fromkeys(finding["task"] for one in comparisons for finding in one["tasks"]))


def _marked(text: str) -> Markup:
    """A text for the page: what stands in backticks as code, apostrophes as print has them."""
    return Markup(re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text.replace("'", "\u2019")))))


def _day(finished: str) -> str:
    """A time as a reader writes it; the text itself where it is no time."""
    try:
        return f"{datetime.fromisoformat(finished):%d %B %Y, %H:%M %Z}".lstrip("0")
    except ValueError:
        return finished
