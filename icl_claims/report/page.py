"""The page of a run, claims.html: one text without any outside resource, with a forest plot in each entry."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from icl_claims import protocol, tasks
from icl_claims.report import Record, effort, ledger, tables, words
from icl_claims.report.across_models import ClaimOverModels, in_letters, models_of, over_models
from icl_claims.report.counts import Count, counts_of
from icl_claims.report.document import Document
from icl_claims.report.in_short import answers, limits
from icl_claims.report.page_figures import PageFigure
from icl_claims.report.verdicts import VERDICT_WORDS, WORST_FIRST, known_as

COLUMNS = ("printed", "author_runs", "trials", "exact")  # of the ledger: its sources in their order
HEIGHT, MIDDLE = 10, 5  # of a row of a forest plot
NARROWEST = 0.8  # percent of the width that a null band of one value takes
_SIDES = {"left": "value", "right": "against"}


def render_page(document: Document, pictures: Mapping[str, Sequence[PageFigure]]) -> str:
    """The page of a complete document, with what was drawn from the numbers of each profile."""
    claims, run = document["claims"], document["run"]
    entries, listings = ledger.entries_of(claims), ledger.listings_of(claims)
    counts = _counts(claims)
    page = page_environment().get_template("claims.html.jinja")
    return page.render(
        run=run,
        spent=effort.spent_words(run["spent"]),
        outlooks=effort.outlook_of_run(claims),
        limit=words.limit_of_tasks(str(run["options"].get("tasks") or "").replace(" ", "").split(",")),
        command_of=lambda claim: ledger.command_of(claim, run["options"]),
        listings_of=lambda claim: [listings[key] for _, key in ledger.keys_of_listings(claim)],
        entries=entries,
        sections=ledger.sections_of(entries),
        section_names=sorted({entry.section for entry in entries}),
        anchors={entry.anchor for entry in entries},
        models=models_of(claims, run["options"]),
        across=over_models(entries),
        in_short=answers(entries),
        limits=limits(claims),
        counts=counts,
        not_run=_folded(counts),
        words=VERDICT_WORDS,
        worst_first=WORST_FIRST,
        sources={source: words.SOURCE_NAMES[source] for source in COLUMNS},
        papers=dict.fromkeys(claim["paper"] for claim in claims),
        listings=list(listings.values()),
        pictures={profile: drawn for profile, drawn in pictures.items() if drawn},
        tables=tables.papers_tables(document["pictures"]),
        coverage=document["coverage"],
        metrics=words.METRIC_TERMS,
        methods=words.method_terms(),
        nulls=words.NULL_DEFINITIONS,
        own_terms=words.own_terms_of(claims),
        differences=protocol.DIFFERENCES,
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
        "agreement": words.agreement_words,
        "letters": lambda count: "" if count is None else in_letters(count),
        "looks_plot": looks_plot,
        "models_plot": models_plot,
        "outlook": effort.outlook_words,
        "specification_plot": specification_plot,
        "by_the_rule": words.by_the_rule,
        "css": lambda word: word.replace(" ", "-"),
        "known": lambda claim: bool(known_as(claim["verdict"], claim["known_refutation"])),
        "p": words.p_words,
        "p_of_task": words.p_of_task,
        "replication": words.replication_words,
        "tasks_of": lambda beside: list(dict.fromkeys(finding["task"] for one in beside for finding in one["tasks"])),
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "day": _day,
        "duration": words.duration,
        "facts": ledger.other_facts,
        "forest_plot": forest_plot,
        "interval": words.interval,
        "marked": _marked,
        "name_of": lambda claim: f"{claim['id']}, {words.source_name(claim['source'], claim['profile'])}",
        "number": words.number,
        "paper": words.paper_name,
        "sentence": words.verdict_sentence,
        "side": lambda claim, side: claim["quantity"][side]["title"] if claim["quantity"] else _SIDES[side],
        "source": words.source_name,
        "task": tasks.title_of_task,
        "words": ledger.in_words,
    }
    return environment


def _counts(claims: Iterable[Record]) -> dict[str, list[Count]]:
    """By source and profile: how many claims got each word; what claims need is counted apart."""
    groups: dict[str, list[Record]] = {}
    for claim in sorted(claims, key=lambda claim: (bool(claim["condition"]), COLUMNS.index(claim["source"]))):
        name = "what claims need" if claim["condition"] else words.source_name(claim["source"], claim["profile"])
        groups.setdefault(name, []).append(claim)
    return {name: counts_of(group) for name, group in groups.items()}


def _folded(counts: Mapping[str, Sequence[Count]]) -> dict[str, int]:
    """How many claims wait for what was not run at all, where something else was."""
    found = {name: row[0].records for name, row in counts.items() if [one.word for one in row] == ["not run"]}
    return found if len(found) < len(counts) else {}


def _marked(text: str) -> Markup:
    """A text for the page: what stands in backticks as code, apostrophes as print has them."""
    return Markup(re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text.replace("'", "\u2019")))))


def _day(said: str) -> str:
    """A day, or a time, as a reader writes it; the text itself where it is neither."""
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        return said
    return f"{found:{'%d %B %Y, %H:%M %Z' if len(said) > len('2026-01-02') else '%d %B %Y'}}".lstrip("0")


@dataclass(frozen=True)
class ForestPlot:
    """A plot in pieces, a row per task: difference and interval, the paper's number, the null band, the pooled effect.

    Each row is a drawing of its own without text, for a table that has the words; it is stretched to the width of its
    column, which is why its lines keep their weight and a dot is a line without length.

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


def forest_plot(claim: Record) -> ForestPlot | None:
    """A plot of all findings of a record on one scale, which includes 0; None where nothing has a difference.

    On printed numbers, which are the paper's own, there are no ticks for these.
    """
    own = {"printed": None} if claim["source"] == "printed" else {}
    findings = [{**finding, **own} for finding in claim["tasks"]]
    pooled = claim["effect"] or {"estimate": None, "low": None, "high": None}
    names = ("difference", "low", "high", "printed", "null_low", "null_high")
    values = [*(finding[name] for finding in findings for name in names)]
    values += [pooled[name] for name in ("estimate", "low", "high")]
    seen = [value for value in values if value is not None]
    if all(finding["difference"] is None for finding in findings):
        return None
    low, high = min(0.0, *seen), max(0.0, *seen)
    span = (high - low) or 1.0

    def scale(value: float) -> float:
        """A value's place in percent of the width, a little away from both ends."""
        return float(round(2 + 96 * (value - low) / span, 1))

    rows = tuple(_row(finding, scale) for finding in findings)
    return ForestPlot(rows, _pooled(pooled, scale), (words.number(low, 2), words.number(high, 2)), scale(0.0))


def looks_plot(claim: Record) -> ForestPlot | None:
    """A plot of the difference over all tasks at each look at a claim; None where fewer than two looks have one."""
    known = [one for one in claim["looks"] if one["effect"]]
    return _plot_of_effects(claim, known) if len(known) > 1 else None


def models_plot(found: ClaimOverModels) -> ForestPlot | None:
    """A plot of the difference over all tasks on each model; None where fewer than two have one."""
    known = [record for record in found.records if record["effect"]]
    return _plot_of_effects(found.records[0], found.records) if len(known) > 1 else None


def specification_plot(claim: Record) -> ForestPlot | None:
    """A plot of the difference over all tasks under each specification; None where none has one."""
    return _plot_of_effects(claim, claim["specifications"] or ())


def _plot_of_effects(claim: Record, found: Iterable[Record]) -> ForestPlot | None:
    outcomes = {"supported": "holds", "refuted": "fails"}
    unknown = dict.fromkeys(("estimate", "low", "high"))
    nothing_more = dict.fromkeys(("printed", "null_low", "null_high"))
    rows = [
        {**nothing_more, **(effect := one.get("effect") or unknown), "difference": effect["estimate"]}
        | {"outcome": outcomes.get(one["verdict"], "unclear")}
        for one in found
    ]
    return forest_plot({"source": claim["source"], "tasks": rows, "effect": None})


_Scale = Callable[[float], float]


def _row(finding: Record, scale: _Scale) -> Markup:
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


def _pooled(effect: Record, scale: _Scale) -> Markup:
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
