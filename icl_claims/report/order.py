"""The papers' order: claims by paper and place, and the section that a place belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from icl_claims.claims import PAPERS, SOURCES
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
