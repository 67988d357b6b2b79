"""A run as GitHub's Markdown: what the page of a job in continuous integration shows."""

from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from icl_claims.report import Record, words
from icl_claims.report.document import Document
from icl_claims.report.verdicts import VERDICTS, WORST_FIRST, known_as

_MEANS_SOMETHING = "\\`*_[]<>|#~&"
NOT_RUN = "not run"


def as_markdown(document: Document) -> str:
    """The counts of a run, and a table of claims for each paper with a word for every source that was asked.

    Sources and set-ups of trials that were not run at all have no column. Refutations that are known are said to be.
    """
    run, claims = document["run"], [claim for claim in document["claims"] if not claim["condition"]]
    counts = Counter(claim["verdict"] for claim in claims)
    named = f" ({escaped(run['name'])})" if run["name"] else ""
    said = ", ".join(f"**{counts[word]}** {word}" for word in VERDICTS if counts[word])
    lines = ["# Claims on in-context learning as gradient descent", "", f"{run['finished'][:10]}{named}: {said}.", ""]
    for paper, of_paper in groupby(claims, key=lambda claim: claim["paper"]):
        lines += [f"## {escaped(words.paper_name(paper))}", "", *_table(list(of_paper)), ""]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """A text that says in Markdown what it says, in one line: what means something there is escaped."""
    return "".join(f"\\{one}" if one in _MEANS_SOMETHING else one for one in " ".join(text.split()))


def _table(claims: list[Record]) -> Iterable[str]:
    columns = dict.fromkeys(_column(claim) for claim in claims if claim["verdict"] != NOT_RUN)
    yield f"| claim | {' | '.join(map(escaped, columns))} |"
    yield f"| --- |{' --- |' * len(columns)}"
    for name, records in groupby(claims, key=lambda claim: claim["id"]):
        of_column: dict[str, list[Record]] = {}
        for claim in records:
            of_column.setdefault(_column(claim), []).append(claim)
        said = " | ".join(_worst(of_column.get(column, ())) for column in columns)
        statement = next(iter(of_column.values()))[0]["statement"]
        yield f"| **{escaped(name)}**: {escaped(statement)} | {said} |"


def _column(claim: Record) -> str:
    return words.source_name(claim["source"], claim["profile"])


def _worst(records: Iterable[Record]) -> str:
    found = min(records, key=lambda claim: WORST_FIRST.index(claim["verdict"]), default=None)
    return "" if found is None else known_as(found["verdict"], found["known_refutation"]) or found["verdict"]
