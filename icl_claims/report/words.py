"""The words of a report: names, numbers as the papers print them, verdicts in a sentence, and what terms mean."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from html import unescape
from math import floor, log10
from operator import itemgetter
from typing import Any, Self
from xml.etree import ElementTree

from latex2mathml.converter import convert_to_element
from markupsafe import Markup

from icl_claims.claims import EVERY_TASK
from icl_claims.experiments.studies import IN_CONTEXT, ZERO_SHOT, every_method, known_names
from icl_claims.methods import AnotherQuerysUpdate, GaussianUpdate, Method, Null
from icl_claims.metrics import METRICS, RANDOM_UPDATE, Baseline, Metric
from icl_claims.questions import Named
from icl_claims.report import Record
from icl_claims.report.verdicts import VERDICTS
from icl_claims.tasks import PAPERS_TASKS, title_of_task

SOURCE_NAMES = {"exact": "exact", "printed": "printed", "author_runs": "author runs", "trials": "trials"}
MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
FINEST = 1e-4  # no table of the papers prints more than four decimals


def paper_name(paper: str) -> str:
    """The short name of a paper: `von_oswald` is `Von Oswald`."""
    return " ".join(word[:1].upper() + word[1:] for word in paper.split("_"))


def source_name(source: str, profile: str = "") -> str:
    """A source of evidence, with the profile of its trials."""
    return SOURCE_NAMES.get(source, source) + (f", {profile}" if profile else "")


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


def limit_of_tasks(tasks: Iterable[str]) -> str:
    """What trials of some of the papers' tasks cannot do; empty where all are run, or none.

    >>> limit_of_tasks(["sst2", "cb"]).partition(":")[0]
    "Trials of 2 of the papers' 6 tasks (SST2, CB)"
    """
    run = [task for task in PAPERS_TASKS if task in tasks]
    if len(run) in (0, len(PAPERS_TASKS)):
        return ""
    named = ", ".join(map(title_of_task, run))
    return (
        f"Trials of {len(run)} of the papers' {len(PAPERS_TASKS)} tasks ({named}): claims about more tasks, or about "
        "the mean over all, cannot be supported by them."
    )


def duration(seconds: float) -> str:
    """Seconds in words: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def verdict_sentence(claim: Record) -> str:
    """What was compared, on how many tasks it came out which way, and the pooled effect with its kind of interval.

    A claim that is not about one quantity being higher or lower than another keeps the words of its evidence, and so
    does a record of a version that did not tell a metric from what it is of.
    """
    tasks = [finding for finding in claim["tasks"] if finding["task"] != EVERY_TASK]
    counted = [finding for finding in tasks if finding["outcome"] != "absent"]
    compared, effect = claim["quantity"], claim["effect"]
    if not counted or not compared or "direction" not in compared or not compared["left"]["metric"]:
        return str(claim["why"])
    parts = [_counts(compared, tasks, counted)]
    if effect:
        kind = f" ({effect['kind']})" if effect["kind"] else ""
        parts.append(f"pooled difference {number(effect['estimate'])} {interval(effect['low'], effect['high'])}{kind}")
    return "; ".join(parts) + "."


def by_the_rule(claim: Record) -> str:
    """What the rule says; empty where the sentence said it already."""
    return "" if verdict_sentence(claim).startswith(claim["why"]) else str(claim["why"])


def reasons(claim: Record) -> str:
    """Why a verdict is what it is, and what the plain numbers say."""
    return f"{claim['why']} {claim.get('plain_numbers', '')}".rstrip()


def _counts(quantity: Record, tasks: Sequence[Record], counted: Sequence[Record]) -> str:
    by_outcome = {
        outcome: [title_of_task(finding["task"]) for finding in tasks if finding["outcome"] == outcome]
        for outcome in ("holds", "fails", "unclear", "absent")
    }
    left, right, upwards = quantity["left"], quantity["right"], quantity["direction"] == "above"
    here, there = ("higher", "lower") if upwards else ("lower", "higher")
    other = f"that of {right['of']}" if right["metric"] == left["metric"] else right["title"]
    sentence = f"{left['title'][:1].upper()}{left['title'][1:]} is {here} than {other}"
    sentence += f" on {len(by_outcome['holds'])} of {len(tasks)} tasks"
    plain = sum((finding["difference"] or 0.0) * (1 if upwards else -1) > 0 for finding in counted)
    if plain != len(by_outcome["holds"]):
        sentence += f" ({plain} by the plain numbers)"
    for outcome, words in (("fails", there), ("unclear", "undecided"), ("absent", "without evidence")):
        if by_outcome[outcome]:
            sentence += f", {words} on {', '.join(by_outcome[outcome])}"
    return sentence


def p_words(claim: Record) -> str:
    """The p values that decide, with the word that each is for; those of trials hold whenever the trials stop.

    >>> p_words({"source": "trials", "p": {"supported": 0.0031, "refuted": None}})
    'p = .0031 (supported), at any stopping'
    """
    known = {word: p for word, p in (claim["p"] or {}).items() if p is not None}
    said = [f"p {p_value(p)} ({word})" for word, p in known.items()]
    return ", ".join(said + ["at any stopping"] * bool(said and claim["source"] == "trials"))


def p_of_task(finding: Record) -> str:
    """The smaller of a task's p values, marked for what it is of: that it holds or that it fails; a dash for neither.

    >>> p_of_task({"p_holds": 0.97, "p_fails": 0.0031})
    '.0031 ✗'
    """
    known = [(p, mark) for p, mark in ((finding["p_holds"], "✓"), (finding["p_fails"], "✗")) if p is not None]
    if not known:
        return DASH
    p, mark = min(known)
    return f"{p_value(p).removeprefix('= ')} {mark}"


def replication_words(claim: Record) -> str:
    """What the same rule says of fresh draws, the record's own word first; empty where there is nothing to tell.

    >>> found = {"groups": 8, "replicates": 16, "words": {"inconclusive": 1, "supported": 7}}
    >>> replication_words({"verdict": "supported", "replication": found})
    'supported in 7 of 8 groups of 16 fresh draws; inconclusive in 1'
    """
    found, own = claim["replication"], claim["verdict"]
    if not found:
        return ""
    groups = f"{found['groups']} group{'s' if found['groups'] > 1 else ''}"
    draws = f"{found['replicates']} fresh draw{'s' if found['replicates'] > 1 else ''}"
    others = [f"{word} in {found['words'][word]}" for word in VERDICTS if word != own and found["words"].get(word)]
    return "; ".join([f"{own} in {found['words'].get(own, 0)} of {groups} of {draws}", *others])


def agreement_words(claim: Record) -> str:
    """How many specifications give the record's own word; empty where none was tried.

    >>> tried = [{"name": name, "verdict": name, "default": False} for name in ("supported", "inconclusive")]
    >>> agreement_words({"verdict": "supported", "specifications": tried})
    '1 of 2 specifications say the same'
    """
    tried = claim["specifications"] or ()
    same = sum(one["verdict"] == claim["verdict"] for one in tried)
    return f"{same} of {len(tried)} specifications say the same" if tried else ""


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
    def of(cls, named: Named) -> Self:
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


METRIC_TERMS = tuple(map(Term.of, METRICS))
"""The metrics that every trial measures."""
NULL_DEFINITIONS = (RANDOM_UPDATE.title, GaussianUpdate.definition, AnotherQuerysUpdate.definition)
"""What stands in the place of an update where it means nothing."""


def method_terms() -> list[Term]:
    """A term per kind of method, with the title of its first one; perturbations of others come last."""
    methods: tuple[Method, ...] = (ZERO_SHOT, IN_CONTEXT, *every_method())
    firsts: dict[type, tuple[int, Term]] = {}
    for method in methods:
        look = getattr(method, "look", None)
        firsts.setdefault(type(method), (99 if look is None else look, Term.of(method)))
    return [term for _, term in sorted(firsts.values(), key=itemgetter(0))]


def own_terms(asked: Iterable[Named]) -> list[dict[str, Any]]:
    """What the reader's own metrics and methods among those asked for say of themselves, as plain data."""
    known = known_names()
    own = {one.name: one for one in asked if one.name not in known and not isinstance(one, Null | Baseline)}
    return [asdict(Term.of(one)) for one in own.values()]


def own_terms_of(claims: Iterable[Record]) -> list[Term]:
    """The terms that the records of a run carry, each once."""
    return list(dict.fromkeys(Term(**own) for claim in claims for own in (claim["asks"] or {}).get("own", ())))
