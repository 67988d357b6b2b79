"""The ledger's entries: a claim with everything that was decided about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.report import Record
from icl_claims.report.order import section_of, title_of_paper


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
    broken = _broken_variants()
    taken: set[str] = set()
    entries = []
    for (paper, name), records in groups.items():
        anchor = f"{paper}-{name}" if name in taken else name
        taken.add(anchor)
        entries.append(
            ClaimEntry(
                anchor=anchor,
                deciding=tuple(record for record in records if not record["condition"]),
                conditions=tuple(record for record in records if record["condition"]),
                broken=broken.get(name, ()) if records[0]["source"] == "exact" else (),
            )
        )
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
