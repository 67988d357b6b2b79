"""The learning rates of a model: the profile's, or those that were found for the model and written down."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icl_claims.errors import StoreError, UsageError
from icl_claims.experiments.profiles import Profile
from icl_claims.storage.atomic import write_atomically
from icl_claims.storage.cache_folder import cache_folder
from icl_claims.tasks.catalogue import Task

TUNE = "`icl-claims tune` finds its own"


@dataclass(frozen=True)
class LearningRates:
    """Learning rates of finetuning.

    Args:
        by_task: one for each task.
        origin: where they come from, for reports.
    """

    by_task: Mapping[str, float]
    origin: str

    def including(self, profile: Profile, tasks: Iterable[Task]) -> LearningRates:
        """The rates of these tasks too: each task's own under the profile, else the median of the profile's."""
        median = statistics.median(profile.learning_rates.values())
        more = {task.name: task.learning_rates.get(profile.name) for task in tasks if task.name not in self.by_task}
        found, origin = {name: median if own is None else own for name, own in more.items()}, self.origin
        for words, names in (
            ("the task's own", [name for name, own in more.items() if own is not None]),
            (f"the median of the profile {profile.name}", [name for name, own in more.items() if own is None]),
        ):
            origin += f"; {words} for {', '.join(names)}" if names else ""
        return LearningRates({**self.by_task, **found}, origin)


def rates_file(digest: str) -> Path:
    """Where the rates of a model are kept in the cache."""
    return cache_folder() / "learning_rates" / f"{digest}.json"


def learning_rates(profile: Profile, digest: str, *, own_model: bool, file: Path | None = None) -> LearningRates:
    """The learning rates of a model under a profile.

    Args:
        profile: gives the rates of its own model, and of tasks for which none was found.
        digest: of the model.
        own_model: whether the model is the profile's.
        file: that `icl-claims tune --write` wrote; by default the one in the cache, if there is one.

    Raises:
        UsageError: the named file is not there, or is about another model.
        StoreError: the file cannot be read.
    """
    if file is None and own_model:
        return LearningRates(profile.learning_rates, f"of the profile {profile.name}")
    found = read_rates(file or rates_file(digest))
    if file is not None and found.get("model") != digest:
        raise UsageError(
            f"The learning rates in {file} are not of this model",
            expected=f"a file about the model {digest[:12]}",
            got=f"one about {str(found['model'])[:12]}" if found else "no such file",
            todo="Find its own with `icl-claims tune`.",
        )
    tuned = {task: float(entry["learning_rate"]) for task, entry in found.get("tasks", {}).items()}
    if not tuned:
        origin = f"of the profile {profile.name}, found for another model; {TUNE}"
    else:
        origin = f"found for this model on training examples ({file or rates_file(digest)})"
        if missing := sorted(set(profile.learning_rates) - set(tuned)):
            origin += f"; of the profile {profile.name} for {', '.join(missing)}"
    return LearningRates({**profile.learning_rates, **tuned}, origin)


def read_rates(file: Path) -> dict[str, Any]:
    """What `icl-claims tune` wrote: the model's digest, and an entry for each task; empty where there is no file.

    Raises:
        StoreError: the file is damaged.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        rates = [float(entry["learning_rate"]) for entry in found["tasks"].values()]
        if not isinstance(found["model"], str) or not all(rate > 0 for rate in rates):
            raise ValueError("a model that is no text, or a rate that is not above 0")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"The learning rates in {file} cannot be read",
            expected="the JSON that `icl-claims tune` writes",
            got=f"{type(error).__name__}: {error}",
            todo="Delete the file, and run `icl-claims tune` again.",
        ) from error
    return dict(found)


def write_rates(file: Path, digest: str, name: str, tasks: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the rates of some tasks; those of other tasks of the same model stay.

    Raises:
        StoreError: the file cannot be written, or one that lies there cannot be read.
    """
    before = read_rates(file)
    kept = before["tasks"] if before.get("model") == digest else {}
    content = {"model": digest, "name": name, "tasks": {**kept, **tasks}}
    try:
        write_atomically(file, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise StoreError(
            f"The learning rates cannot be written to {file}",
            got=error.strerror or str(error),
            todo="Name another file, or another cache with ICL_CLAIMS_CACHE.",
        ) from error
