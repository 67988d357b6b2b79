"""What the terminal says at the end of a run: the changed claims first, then all of them by section."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from icl_claims.report import Record
from icl_claims.report.compare import RunComparison
from icl_claims.report.comparison_forms import claim_in_words
from icl_claims.report.document import WORDS
from icl_claims.report.names import paper_name, source_name
from icl_claims.report.order import section_of

COLOURS = {"supported": "green", "refuted": "red", "inconclusive": "yellow", "not run": "light", "error": "red"}


def print_summary(terminal: Any, claims: Sequence[Record], comparison: RunComparison | None) -> None:
    """Print a line per claim, by section, with a word for each source of evidence.

    Args:
        terminal: Reporter of pytest; it colours nothing where there is no terminal.
        claims: Records in the papers' order.
        comparison: Comparison with the run before, or the one that was named.
    """
    terminal.section("claims")
    if comparison is not None and comparison.verdicts:
        terminal.write_line(f"changed since {_named(comparison.old)}")
        for change in comparison.verdicts:
            terminal.write(f"  {claim_in_words(change.claim)}: {change.old} -> ")
            terminal.write(change.new, **{COLOURS[change.new]: True})
            terminal.write_line("")
    for (paper, section), group in groupby(claims, key=lambda claim: (claim["paper"], section_of(claim["where"]))):
        terminal.write_line(f"{paper_name(paper)}, {section[:1].lower()}{section[1:]}", bold=True)
        by_name: dict[str, list[Record]] = {}
        for claim in group:
            by_name.setdefault(claim["id"], []).append(claim)
        for name, records in by_name.items():
            _print_claim(terminal, name, records)


def counts_in_words(claims: Sequence[Record]) -> str:
    """How many records got each word."""
    counts = {word: sum(claim["verdict"] == word for claim in claims) for word in WORDS}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def _print_claim(terminal: Any, name: str, records: Sequence[Record]) -> None:
    terminal.write(f"  {name:<28}")
    for place, claim in enumerate(records):
        label = f"needs {claim['condition']}:" if claim["condition"] else source_name(claim["source"], claim["profile"])
        terminal.write(f"{';' if place else ''} {label} ")
        terminal.write(claim["verdict"], **{COLOURS[claim["verdict"]]: True})
        terminal.write(" (as known)" if claim["known_refutation"] else "")
    terminal.write_line("")


def _named(run: Record) -> str:
    return f"the run of {run['finished']}" + (f" ({run['name']})" if run["name"] else "")
