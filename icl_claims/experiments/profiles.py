"""Ready-made set-ups: which model, how many demonstrations, which draws, how many queries, and which learning rates."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icl_claims.errors import StoreError, UsageError
from icl_claims.experiments.studies import STUDIES
from icl_claims.protocol import Calibration
from icl_claims.storage.files import cache_folder, write_atomically
from icl_claims.tasks import MINIATURE, PAPERS_TASKS, SYNTHETIC, TASKS, DataSource, Task


@dataclass(frozen=True)
class Profile:
    """A set-up of trials.

    Args:
        model: reference of its model; None where the reader must name one.
        queries: queries asked; None for all, up to 2000.
        draws: how many of the authors' (seed, permutation) pairs are run for each task.
        source: of the examples, where the reader names no data directory.
        needs_cuda: whether it is not run without a CUDA device unless the reader names a device.
    """

    name: str
    model: str | None
    k: int
    queries: int | None
    draws: int
    calibration: Calibration
    learning_rates: Mapping[str, float]
    source: DataSource = MINIATURE
    studies: tuple[str, ...] = tuple(STUDIES)
    needs_cuda: bool = False

    def runs(self, task: Task) -> tuple[tuple[int, int], ...]:
        """The (seed, permutation) pairs of a task."""
        return task.runs[: self.draws]


PUBLISHED_RATES = {name: rate for name in PAPERS_TASKS if (rate := TASKS[name].learning_rate) is not None}
# Of .001, .003, .01, .03 and .1, the rate whose finetuned model is most accurate (calibrated) on 40 training examples
# that are not among its 16 demonstrations (miniature tasks, seed 101); the larger of equals. No query was looked at.
EMBEDDED_RATES = {"sst2": 0.03, "sst5": 0.001, "mr": 0.001, "subj": 0.1, "agnews": 0.01, "cb": 0.1}
# Of .3, .5, 1, 1.5, 2, 3, 5 and 10, the rate whose finetuned model is most accurate on 40 training examples that are
# not among its 16 demonstrations, the mean over six draws (synthetic tasks, seeds 101 to 106); the larger of equals. No
# query was looked at. Up to .3 finetuning changes hardly an answer of so small a model; at 10 it is back near chance.
TINY_RATES = {"sst2": 1.5, "sst5": 2.0, "mr": 2.0, "subj": 3.0, "agnews": 3.0, "cb": 3.0}

WITHIN_MINUTES = ("main", "labels", "untrained")

PROFILES = {
    profile.name: profile
    for profile in (
        Profile("tiny", "tiny", 16, 128, 3, "none", TINY_RATES, SYNTHETIC),
        Profile("embedded", "embedded", 16, 40, 1, "contextual", EMBEDDED_RATES, studies=WITHIN_MINUTES),
        Profile("paper", None, 32, None, 3, "none", PUBLISHED_RATES, needs_cuda=True),
    )
}


def find_profile(name: str) -> Profile:
    """The profile of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in PROFILES:
        raise UsageError("Unknown profile", expected=f"one of {', '.join(PROFILES)}", got=repr(name))
    return PROFILES[name]


TUNE = "`icl-claims tune` finds its own"


@dataclass(frozen=True)
class LearningRates:
    """Learning rates of finetuning, and where they come from, for reports."""

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
