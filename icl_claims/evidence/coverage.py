"""What both papers contain, sentence by sentence and table by table, and which claims decide it."""

from __future__ import annotations

import json
from typing import Any

from icl_claims.fixtures_folder import fixtures_folder


def coverage_of_papers() -> list[dict[str, Any]]:
    """Every sentence that claims something, and every group of table cells, in the papers' order.

    Returns:
        Entries with `paper`, `where`, `what`, `claims` (ids) and `note` (why there is none).
    """
    told = json.loads((fixtures_folder() / "coverage.json").read_text(encoding="utf-8"))
    return [
        {
            "paper": paper,
            "where": entry["place"],
            "what": entry["says"],
            "claims": entry["claims"],
            "note": entry.get("note", ""),
        }
        for paper, entries in told.items()
        for entry in entries
    ]
