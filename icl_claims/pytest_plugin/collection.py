"""The claims that a run has collected, so that it can name those it did not reach; and what they ask of trials.

Under xdist the workers collect and the controller does not: they leave what they found in a file.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from icl_claims.pytest_plugin.claim_json import declare
from icl_claims.storage.files import write_atomically

if TYPE_CHECKING:
    from icl_claims.claims import Claim
    from icl_claims.experiments.studies import Study
    from icl_claims.tasks import Task

INPUT = "icl_claims_collected"
TASKS_FOLDER = "tasks"
_ASKED = pytest.StashKey[list[tuple["Claim", Path]]]()

_Collected = dict[str, dict[str, Any]]
"""What the tests of claims are about, by the tests' names."""


def collected_claims(items: Iterable[pytest.Item]) -> _Collected:
    """The claims among tests."""
    return {item.nodeid: declared for item in items if (declared := declare(item)) is not None}


class ControllersList:
    """On the controller: what it, or its workers, collected."""

    def __init__(self) -> None:
        self._own: _Collected = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take in what is collected here."""
        self._own = collected_claims(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Say to an xdist worker where to leave what it collects."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="icl_claims_")
        node.workerinput[INPUT] = str(Path(self._folder.name) / "collected.json")

    def claims(self) -> _Collected:
        """All claims of the run, reached or not."""
        path = Path(self._folder.name) / "collected.json" if self._folder else None
        if path is None or not path.is_file():
            return self._own
        found: _Collected = json.loads(path.read_text(encoding="utf-8"))
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


def refuse_twins(items: Iterable[pytest.Item]) -> None:
    """Refuse two claims under one id, which the report could not tell apart.

    Raises:
        pytest.UsageError: There are two.
    """
    known: dict[str, tuple[Claim, str]] = {}
    for item in items:
        mark = item.get_closest_marker("claim")
        if mark is None:
            continue
        claim, test = known.setdefault(mark.args[0].id, (mark.args[0], item.nodeid))
        if claim is not mark.args[0]:
            both = f"{test} and {item.nodeid}"
            raise pytest.UsageError(f"Two claims have the id {claim.id}: {both}. Give one of them an id of its own.")


@dataclass(frozen=True)
class AskedOfTrials:
    """What the collected claims ask of trials.

    Args:
        papers_tasks: Whether any of them is about the papers' tasks.
        own_tasks: Tasks of the reader's own that they name, which lie in `tasks/` beside the claims.
        own_study: What they ask for that none of our studies measures; None if there is nothing.
    """

    papers_tasks: bool
    own_tasks: tuple[Task, ...]
    own_study: Study | None


def remember_claims(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Note the claims that trials decide, and the folders of their tests."""
    marks = [(mark, item.path.parent) for item in items if (mark := item.get_closest_marker("claim"))]
    config.stash[_ASKED] = [(mark.args[0], folder) for mark, folder in marks if "trials" in mark.kwargs["sources"]]


def asked_of_trials(config: pytest.Config) -> AskedOfTrials:
    """What the claims of a run ask of trials.

    Raises:
        UsageError: A claim names a task that is nowhere.
        DataError: The folder of a task cannot be read.
    """
    from icl_claims.experiments.studies import own_study
    from icl_claims.tasks import PAPERS_TASKS, known_task, read_own_task

    papers, own, claims = False, dict[str, "Task"](), config.stash.get(_ASKED, [])
    for claim, folder in claims:
        for name in (name for question in claim.questions for name in question.tasks or PAPERS_TASKS):
            papers |= name in PAPERS_TASKS
            if name in PAPERS_TASKS or name in own:
                continue
            beside = (place / TASKS_FOLDER / name for place in (folder, *folder.parents))
            found = next((place for place in beside if place.is_dir()), None)
            own[name] = known_task(name) if found is None else read_own_task(found)
        papers |= not claim.questions
    quantities = (q for claim, _ in claims for question in claim.questions for q in question.quantities)
    return AskedOfTrials(papers, tuple(own.values()), own_study(dict.fromkeys(quantities)))
