"""The claims that lie in a folder, found by collecting its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from icl_claims.errors import UsageError
from icl_claims.pytest_plugin.run_record import declare

QUIETLY = ("--collect-only", "--assert=plain", "-p", "no:terminal", "-p", "no:cacheprovider")


class _Collected:
    def __init__(self) -> None:
        self.claims: dict[str, dict[str, Any]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            declared = declare(item)
            if declared is None:
                continue
            fields = {name: declared[name] for name in ("id", "paper", "where", "statement", "rule")}
            sources = self.claims.setdefault(declared["id"], {**fields, "sources": []})["sources"]
            if declared["source"] not in sources:
                sources.append(declared["source"])


def collect_claims(folder: Path) -> list[dict[str, Any]]:
    """The claims that tests in a folder decide, with their sources.

    Raises:
        UsageError: no such folder, or no claim in it.
    """
    collected = _Collected()
    if folder.is_dir():
        pytest.main([*QUIETLY, str(folder)], [collected])
    if not collected.claims:
        raise UsageError(
            f"No claims were found in {folder}",
            expected="the folder `claims` of the project",
            todo="Run this in a clone of the project, or name the folder: icl-claims list DIR.",
        )
    return list(collected.claims.values())
