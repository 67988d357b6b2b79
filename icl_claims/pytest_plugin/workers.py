"""What xdist workers share: the threads, the devices, the line of trials, and the claims, so that few load a model."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from xdist.scheduler import LoadScopeScheduling

from icl_claims.engines.choices import LOCAL
from icl_claims.pytest_plugin.columns import columns_of
from icl_claims.pytest_plugin.fixtures import REFUTATIONS
from icl_claims.pytest_plugin.places import named_places

T = TypeVar("T")
CARDS = "nvidia[0-9]*"
BEGAN = "icl_claims_began"
_BEGINNING = pytest.StashKey[datetime]()


@dataclass(frozen=True)
class Worker:
    """A process that runs tests, one of so many at once; one that replaces a crashed one has a number beyond them."""

    number: int = 0
    count: int = 1

    def device(self, chosen: str | None, devices: int) -> str | None:
        """The device for a model: of several CUDA devices each worker takes the next, unless one was chosen."""
        if self.count == 1 or not devices or chosen not in (None, "auto", "cuda"):
            return chosen
        return f"cuda:{self.number % devices}"

    def in_its_order(self, work: Sequence[T]) -> list[T]:
        """The same work, begun where no other worker begins."""
        first = len(work) * (self.number % self.count) // self.count
        return [*work[first:], *work[:first]]


ALONE = Worker()


def worker_of(config: pytest.Config) -> Worker:
    """The worker that this process is; the only one where xdist is not used."""
    given = getattr(config, "workerinput", None)
    return ALONE if given is None else Worker(int(given["workerid"].removeprefix("gw")), given["workercount"])


def beginning(config: pytest.Config) -> datetime:
    """When the run began; under xdist, that of the process which the workers serve."""
    given = getattr(config, "workerinput", {}).get(BEGAN)
    return datetime.fromisoformat(given) if given else config.stash.setdefault(_BEGINNING, datetime.now(UTC))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Say to an xdist worker when the run began."""
    node.workerinput[BEGAN] = beginning(node.config).isoformat()


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """No worker for `-n auto` where stored trials are only read, or an engine has workers of its own."""
    return 0 if config.getoption("claims_no_more") or config.getoption("claims_engine") != LOCAL else None


def share_threads(config: pytest.Config) -> None:
    """Give a worker its share of the processors, unless the reader said how many; before anything numerical is read."""
    worker = worker_of(config)
    if worker.count > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, processors() // worker.count)))


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ClaimScheduling(LoadScopeScheduling):
    """Claims on trials in as many groups as there are workers, or CUDA devices if these are fewer; others one by one.

    They are begun in the order in which they were collected.

    The groups of a column share its trials: each trial is run by one of them, through the store.
    """

    def __init__(self, config: pytest.Config, groups: int, log: Any = None) -> None:
        super().__init__(config, log)
        self._groups = min(groups, self.numnodes)
        self._of_column: dict[str, dict[str, int]] = {}
        keys = sorted((column.key for column in columns_of(config) if column.key), key=len, reverse=True)
        named = "|".join(map(re.escape, keys))
        self._on_trials = re.compile(rf"\[(?:.*-)?(trials(?:-(?:{named}))?)(?:-.*)?\]$")

    def remove_node(self, node: Any) -> str | None:
        """Give the tests of a worker that is gone to others, but the one that it crashed in, which would crash again.

        That test is returned; None where the worker had done its work.
        """
        work: dict[str, dict[str, bool]] = self.assigned_work.pop(node)
        crashed = next(((unit, test) for unit in work.values() for test, done in unit.items() if not done), None)
        if crashed is None:
            return None
        unit, test = crashed
        unit[test] = True
        self.workqueue.update({scope: unit for scope, unit in work.items() if not all(unit.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return test

    def _split_scope(self, nodeid: str) -> str:
        on_trials = self._on_trials.search(nodeid)
        if on_trials is None:
            return nodeid
        known = self._of_column.setdefault(on_trials[1], {})
        return f"{on_trials[1]} {known.setdefault(nodeid, len(known) % self._groups)}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ClaimScheduling | None:
    """The scheduling of a run of claims under `-n`; None for any other run, or where the reader chose another."""
    named = named_places(config)
    of_claims = any((folder / REFUTATIONS).is_file() for path in named for folder in (path, *path.parents))
    if config.getoption("dist") != "load" or not of_claims:  # known refutations lie in a folder of claims
        return None
    config.option.loadscopereorder = False  # the largest groups, which are those on trials, would come first
    cards = len(list(Path("/dev").glob(CARDS)))
    return ClaimScheduling(config, cards or len(config.getoption("tx")), log)
