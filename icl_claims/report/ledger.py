"""The ledger: records in the papers' order, and its entries, each a claim with everything that was decided about it."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from icl_claims.claims import PAPERS, SOURCES
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.report import Record

_PART = re.compile(r"(abstract|appendix [a-z]\b|(?:section|table|figure) [0-9]+(?:\.[0-9]+)*)", re.IGNORECASE)
_KINDS = ("abstract", "section", "appendix", "table", "figure")
ELSEWHERE = "elsewhere"


def in_papers_order(claims: Iterable[Record]) -> list[Record]:
    """Records by paper, place in it, id, source and profile; what a claim needs comes after it.

    A reader's own papers come last.
    """
    return sorted(claims, key=_place)


def section_of(where: str) -> str:
    """The part of a paper that a place opens with, such as `Section 3.2`; `elsewhere` where it names none."""
    part = _PART.match(where.strip())
    return part[1][0].upper() + part[1][1:] if part else ELSEWHERE


def title_of_paper(claim: Record) -> str:
    """The title of a record's paper, which a reader's own brings along; its id if it has none."""
    known = PAPERS.get(claim["paper"])
    return str(claim["paper_title"]) or (claim["paper"] if known is None else known.title)


def key_of(claim: Record) -> tuple[str, str, str, str, str]:
    """Key of a record, unique in a run: paper, id, source, profile, condition."""
    return claim["paper"], claim["id"], claim["source"], claim["profile"], claim["condition"]


def _place(claim: Record) -> tuple[Any, ...]:
    papers, sources = list(PAPERS), list(SOURCES)
    paper, source = claim["paper"], claim["source"]
    return (
        papers.index(paper) if paper in papers else len(papers),
        paper,
        _place_in_paper(claim["where"]),
        claim["id"],
        claim["condition"],
        sources.index(source) if source in sources else len(sources),
        claim["profile"] == "paper",
        claim["profile"],
    )


def _place_in_paper(where: str) -> tuple[Any, ...]:
    kind, _, number = section_of(where).lower().partition(" ")
    rank = _KINDS.index(kind) if kind in _KINDS else len(_KINDS)
    return rank, _numbers(number), _numbers(where)


def _numbers(text: str) -> list[tuple[int, str]]:
    """Digits as numbers, so that 10 stands behind 2."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"[0-9]+|[^0-9]+", text)]


@dataclass(frozen=True)
class ClaimEntry:
    """One claim of a paper.

    Args:
        anchor: Its place in the page's address; the claim's id where no other claim has it.
        deciding: Its records, one for each source and profile.
        conditions: Records that show what the claim needs.
        broken: Variants, broken on purpose, under which the project's tests see it refuted.
    """

    anchor: str
    deciding: tuple[Record, ...]
    conditions: tuple[Record, ...]
    broken: tuple[str, ...] = ()

    @property
    def first(self) -> Record:
        """The record that its words are taken from."""
        return (*self.deciding, *self.conditions)[0]

    @property
    def section(self) -> str:
        """The part of the paper where it stands."""
        return section_of(self.first["where"])

    @property
    def verdicts(self) -> tuple[str, ...]:
        """`source:verdict` of each of its records, for a filter."""
        found = (f"{claim['source']}:{claim['verdict'].replace(' ', '-')}" for claim in self.deciding)
        return tuple(dict.fromkeys(found))

    @property
    def effect(self) -> float:
        """The size of its largest pooled effect, to sort by; 0 where there is none."""
        sizes = (abs(claim["effect"]["estimate"] or 0.0) for claim in self.deciding if claim["effect"])
        return max(sizes, default=0.0)


@dataclass(frozen=True)
class Section:
    """A part of a paper with claims in it."""

    paper: str
    title: str
    entries: tuple[ClaimEntry, ...]

    @property
    def paper_title(self) -> str:
        """Title of the paper."""
        return title_of_paper(self.entries[0].first)


def entries_of(claims: Sequence[Record]) -> list[ClaimEntry]:
    """The entries of records that stand in the papers' order."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for claim in claims:
        groups.setdefault((claim["paper"], claim["id"]), []).append(claim)
    broken, taken, entries = _broken_variants(), set[str](), list[ClaimEntry]()
    for (paper, name), records in groups.items():
        anchor = f"{paper}-{name}" if name in taken else name
        taken.add(anchor)
        deciding = tuple(record for record in records if not record["condition"])
        conditions = tuple(record for record in records if record["condition"])
        variants = broken.get(name, ()) if records[0]["source"] == "exact" else ()
        entries.append(ClaimEntry(anchor, deciding, conditions, variants))
    return entries


def sections_of(entries: Sequence[ClaimEntry]) -> list[Section]:
    """Entries gathered by paper and section, in their order."""
    groups: dict[tuple[str, str], list[ClaimEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.first["paper"], entry.section), []).append(entry)
    return [Section(paper, title, tuple(group)) for (paper, title), group in groups.items()]


def _broken_variants() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for control in json.loads((fixtures_folder() / "controls.json").read_text(encoding="utf-8")):
        found[control["claim"]] = (*found.get(control["claim"], ()), control["broken"])
    return found
