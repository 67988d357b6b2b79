"""The claims that a run has collected, what they ask of trials, and the list of those that lie in a folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from icl_claims.errors import ClaimError, IclClaimsError, UsageError
from icl_claims.pytest_plugin.columns import NO_COLUMN, columns_of
from icl_claims.pytest_plugin.order import put_in_order
from icl_claims.pytest_plugin.records import claim_of, declare, mark_of, source_of
from icl_claims.storage.files import write_atomically

if TYPE_CHECKING:
    from icl_claims.claims import Claim
    from icl_claims.experiments.studies import Study
    from icl_claims.tasks import Task

INPUT = "icl_claims_collected"
TASKS_FOLDER = "tasks"
_ASKED = pytest.StashKey[list[tuple["Claim", Path]]]()
"""The claims that trials decide, and the folders of their tests."""
_SELECTED = pytest.StashKey[dict[str, tuple["Claim", str, Any]]]()
"""The claims that trials decide in this run by the ids of their tests, with the key of their column and the test."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a claim one test for each source of evidence, and trials one for each column of the run."""
    mark = mark_of(metafunc.definition)
    if mark is None or "evidence" not in metafunc.fixturenames:
        return
    params = []
    for source in mark.kwargs["sources"]:
        for column in columns_of(metafunc.config) if source == "trials" else (NO_COLUMN,):
            marks = [getattr(pytest.mark, source), *[pytest.mark.gpu] * column.at_scale]
            params.append(
                pytest.param((source, column.key), id="-".join(filter(None, (source, column.key))), marks=marks)
            )
    metafunc.parametrize("evidence", params, indirect=True, scope="function")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let `-k` select a test by the id of its claim."""
    if (mark := mark_of(item)) is not None:
        item.extra_keyword_matches.add(mark.args[0].id)


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Write on every claim's test what it decides, so that even a crash before the verdict can be reported.

    Raises:
        pytest.UsageError: Two claims have one id, so that the report could not tell them apart; what one asks is no
            question, or about a task that is nowhere, or about something that no trial measures; `--claims-only`
            names an unknown one.
    """
    known: dict[str, tuple[Claim, str]] = {}
    marked = [(item, mark) for item in items if (mark := mark_of(item))]
    for item, mark in marked:
        claim, test = known.setdefault(mark.args[0].id, (mark.args[0], item.nodeid))
        if claim is not mark.args[0]:
            both = f"{test} and {item.nodeid}"
            raise pytest.UsageError(f"Two claims have the id {claim.id}: {both}. Give one of them an id of its own.")
    if (only := config.getoption("claims_only")) is not None:
        marked = _only(session, items, [name.strip() for name in only.split(",")], known)
    put_in_order(items)
    config.stash[_ASKED] = [(m.args[0], item.path.parent) for item, m in marked if "trials" in m.kwargs["sources"]]
    for item, mark in marked:
        item.user_properties.append(("claim", declare(item, mark)))
    _check_what_is_asked(marked)


def _only(
    session: pytest.Session, items: list[pytest.Item], wanted: Sequence[str], known: Collection[str]
) -> list[tuple[pytest.Item, pytest.Mark]]:
    """Keep the tests of the claims of some ids, and return them with their marks.

    Raises:
        pytest.UsageError: No collected claim has one of these ids.
    """
    if unknown := [name for name in wanted if name not in known]:
        near = get_close_matches(unknown[0], known, cutoff=0.5) or sorted(known)[:3]
        told = UsageError(
            f"--claims-only names no claim of the {len(known)} that were collected",
            expected=f"ids that icl-claims list prints, such as {', '.join(near)}" if near else "ids of claims",
            got=", ".join(unknown),
        )
        if not hasattr(session.config, "workerinput"):
            raise pytest.UsageError(str(told))
        session.shouldfail = str(told)  # an error that xdist tells of, whose worker goes down in order
        items.clear()
    marked = [(item, mark) for item in items if (mark := mark_of(item)) and mark.args[0].id in wanted]
    kept = {item for item, _ in marked}
    session.config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item, _ in marked]
    return marked


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what trials will be asked for, once the reader's choice of tests is known."""
    selected = session.config.stash[_SELECTED] = {}
    for item in session.items:
        if (mark := mark_of(item)) is not None:
            source, key = source_of(item)
            if source == "trials":
                selected[item.nodeid] = mark.args[0], key, item


def selected_claims(config: pytest.Config, key: str) -> dict[str, tuple[Claim, Callable[..., Any] | None]]:
    """The selected claims that trials of a column decide, by the ids of their tests.

    With each is its test, if it takes nothing but `evidence` and `decide`.
    """
    return {
        test: (claim, item.obj if {*item._fixtureinfo.argnames} <= {"evidence", "decide"} else None)
        for test, (claim, of, item) in config.stash.get(_SELECTED, {}).items()
        if of == key
    }


def _check_what_is_asked(marked: Sequence[tuple[pytest.Item, pytest.Mark]]) -> None:
    """Refuse names of tasks that are nowhere, and quantities that trials are asked for and never measure.

    Of a task that no source knows, or beside the question that decides, they would be missed without a word.
    """
    if not any(mark.args[0].questions for _, mark in marked):
        return
    from icl_claims.experiments.studies import STUDIES, measured_of, own_study, study_of

    on_trials = [mark.args[0] for _, mark in marked if "trials" in mark.kwargs["sources"]]
    own = own_study(
        dict.fromkeys(q for claim in on_trials for question in claim.questions for q in question.quantities)
    )
    studies = (*STUDIES.values(), *filter(None, (own,)))
    for claim, item in {mark.args[0]: item for item, mark in marked}.items():
        try:
            for question in claim.questions:
                for name in question.tasks or ():
                    _place_of_own_task(name, item.path.parent)
                for quantity in question.quantities if claim in on_trials else ():
                    if study_of(quantity, studies) is None:
                        wanted = ", ".join(measured_of(quantity.metric, studies))
                        raise ClaimError("No trial measures what is asked", expected=wanted, got=quantity.name)
        except IclClaimsError as error:
            raise pytest.UsageError(f"{item.nodeid}: {error}") from error


def _place_of_own_task(name: str, folder: Path) -> Path | None:
    """Where a task of the reader's own lies, in `tasks/` beside the claims or above them; None for a known task.

    Raises:
        UsageError: There is no such task.
    """
    from icl_claims.tasks import PAPERS_TASKS, known_task

    beside = (place / TASKS_FOLDER / name for place in (folder, *folder.parents) if name not in PAPERS_TASKS)
    found = next((place for place in beside if place.is_dir()), None)
    if found is None:
        known_task(name)
    return found


class CollectedClaims:
    """What the tests of claims are about, by the tests' names, so that a run can name those it did not reach.

    Under xdist the workers collect, all the same, and the controller does not: they leave it in a file that it names.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._found: dict[str, dict[str, Any]] = {}
        self._workers_file: str | None = getattr(config, "workerinput", {}).get(INPUT)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take in what is collected here; a worker writes it, complete or not at all."""
        self._found = {item.nodeid: claim for item in session.items if (claim := claim_of(item))}
        if self._workers_file is not None:
            write_atomically(Path(self._workers_file), json.dumps(self._found))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Say to an xdist worker where to leave what it collects."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="icl_claims_")
        node.workerinput[INPUT] = str(Path(self._folder.name) / "collected.json")

    def claims(self) -> dict[str, dict[str, Any]]:
        """All claims of the run, reached or not."""
        path = Path(self._folder.name) / "collected.json" if self._folder else None
        if path is not None and path.is_file():
            self._found = json.loads(path.read_text(encoding="utf-8"))
        return self._found

    def pytest_unconfigure(self) -> None:
        """Remove the workers' file."""
        if self._folder is not None:
            self._folder.cleanup()


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
            if name not in PAPERS_TASKS and name not in own:
                found = _place_of_own_task(name, folder)
                own[name] = known_task(name) if found is None else read_own_task(found)
        papers |= not claim.questions
    quantities = (q for claim, _ in claims for question in claim.questions for q in question.quantities)
    return AskedOfTrials(papers, tuple(own.values()), own_study(dict.fromkeys(quantities)))
