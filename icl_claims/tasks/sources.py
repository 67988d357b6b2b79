"""Where the examples of a run come from: a name for reports, and how a task's examples are made."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from icl_claims.errors import DataError
from icl_claims.tasks.catalogue import Task
from icl_claims.tasks.examples import TaskData, read_task
from icl_claims.tasks.synthetic import synthetic_task

ENVIRONMENT = "ICL_CLAIMS_DATA"


@dataclass(frozen=True)
class DataSource:
    """Gives the examples of every task.

    Args:
        name: as reports call it.
        read: the examples of a task.
    """

    name: str
    read: Callable[[Task], TaskData]


MINIATURE = DataSource("miniature tasks", partial(read_task, directory=None))
SYNTHETIC = DataSource("synthetic tasks of invented words", synthetic_task)


def real_tasks(directory: Path) -> DataSource:
    """The tasks in a data directory.

    Raises:
        DataError: it is not a folder.
    """
    if not directory.is_dir():
        raise DataError(
            "The data directory is no folder",
            expected="one with a folder per task",
            got=str(directory),
            todo=f"Check ⟨data⟩ and the environment variable {ENVIRONMENT}.",
        )
    return DataSource(f"the real tasks in {directory}", partial(read_task, directory=directory))


def named_directory(chosen: str | Path | None, source: DataSource) -> Path | None:
    """The data directory that takes the place of a source.

    Args:
        chosen: what the reader named.
        source: what is used otherwise; the environment variable `ICL_CLAIMS_DATA` stands in for miniature tasks only,
            as the words of the others are not those of a language.
    """
    named = chosen or (os.environ.get(ENVIRONMENT) if source is MINIATURE else None)
    return Path(named).expanduser() if named else None
