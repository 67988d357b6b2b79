"""The claims that a run has collected, so that one which was cut short can name those it did not reach.

Under xdist the workers collect and the controller does not: they leave what they found in a file.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from icl_claims.pytest_plugin.run_record import declare
from icl_claims.storage.files import write_atomically

INPUT = "icl_claims_collected"

Collected = dict[str, dict[str, Any]]
"""What the tests of claims are about, by the tests' names."""


def collected_claims(items: Iterable[pytest.Item]) -> Collected:
    """The claims among tests."""
    found = ((item.nodeid, declare(item)) for item in items)
    return {name: declared for name, declared in found if declared is not None}


class ControllersList:
    """On the controller: what it, or its workers, collected."""

    def __init__(self) -> None:
        self._own: Collected = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take in what is collected here."""
        self._own = collected_claims(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker where to leave what it collects."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="icl_claims_")
        node.workerinput[INPUT] = str(Path(self._folder.name) / "collected.json")

    def claims(self) -> Collected:
        """All claims of the run, reached or not."""
        path = Path(self._folder.name) / "collected.json" if self._folder else None
        if path is None or not path.is_file():
            return self._own
        found: Collected = json.loads(path.read_text(encoding="utf-8"))
        return found

    def pytest_unconfigure(self) -> None:
        """Remove the workers' file."""
        if self._folder is not None:
            self._folder.cleanup()


class WorkersList:
    """On an xdist worker: leaves what it collected; all workers collect the same."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write the claims among the collected tests, complete or not at all."""
        write_atomically(self._path, json.dumps(collected_claims(session.items)))
