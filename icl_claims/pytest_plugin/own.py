"""What the claims of a run ask of trials: the tasks they are about, and the reader's own methods, metrics and tasks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from icl_claims.claims import Claim
    from icl_claims.experiments.studies import Study
    from icl_claims.tasks import Task

TASKS_FOLDER = "tasks"


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


ASKED = pytest.StashKey[list[tuple["Claim", Path]]]()


def remember_claims(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Note the claims that trials decide, and the folders of their tests."""
    marks = [(mark, item.path.parent) for item in items if (mark := item.get_closest_marker("claim")) is not None]
    config.stash[ASKED] = [(mark.args[0], folder) for mark, folder in marks if "trials" in mark.kwargs["sources"]]


def asked_of_trials(config: pytest.Config) -> AskedOfTrials:
    """What the claims of a run ask of trials.

    Raises:
        UsageError: A claim names a task that is nowhere.
        DataError: The folder of a task cannot be read.
    """
    from icl_claims.experiments.studies import own_study
    from icl_claims.tasks import PAPERS_TASKS, known_task, read_own_task

    papers, own = False, dict[str, "Task"]()
    claims = config.stash.get(ASKED, [])
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
