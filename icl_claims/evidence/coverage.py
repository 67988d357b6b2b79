"""What both papers contain, sentence by sentence and table by table, and which claims decide it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from icl_claims.fixtures_folder import fixtures_folder


def coverage_of_papers(claims: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the papers of some claims contain, in the papers' order, and which claims decide it.

    Args:
        claims: The records of a run. A claim that no sentence of the list names stands under its own.

    Returns:
        Entries with `paper`, `where`, `what`, `claims` (ids) and `note` (why there is none).
    """
    by_id = {claim["id"]: claim for claim in claims}
    papers = {claim["paper"] for claim in by_id.values()}
    known = json.loads((fixtures_folder() / "coverage.json").read_text(encoding="utf-8"))
    entries = [
        {
            "paper": paper,
            "where": entry["place"],
            "what": entry["says"],
            "claims": entry["claims"],
            "note": entry.get("note", ""),
        }
        for paper, sentences in known.items()
        for entry in sentences
        if paper in papers
    ]
    named = {name for entry in entries for name in entry["claims"]}
    entries += [
        {"paper": one["paper"], "where": one["where"], "what": one["statement"], "claims": [name], "note": ""}
        for name, one in by_id.items()
        if name not in named
    ]
    return sorted(entries, key=lambda entry: list(dict.fromkeys((*known, *papers))).index(entry["paper"]))
