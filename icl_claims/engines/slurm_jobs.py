"""Trials as jobs of SLURM, through submitit: each job loads a model and runs a few trials, one after the other."""

from __future__ import annotations

import pickle
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import submitit

from icl_claims.engines.choices import SlurmOptions
from icl_claims.engines.engine import Done, Failed, Lost, Order, Refused, Reply
from icl_claims.engines.worker import run_order
from icl_claims.errors import EngineError
from icl_claims.storage.files import write_atomically

POLLS = {"slurm": 2.0, "local": 0.1, "debug": 0.0}
"""Seconds between two looks at the jobs, by executor."""


@dataclass(frozen=True)
class TrialsOfJob:
    """What a job does: its orders in a row, each reply written into a shared folder as soon as it is there."""

    orders: tuple[Order, ...]
    folder: Path

    def __call__(self) -> None:
        """Run them all."""
        for order in self.orders:
            write_atomically(reply_file(self.folder, order.name), pickle.dumps(run_order(order)))


def reply_file(folder: Path, name: str) -> Path:
    """Where the reply to an order is written."""
    return folder / "replies" / f"{name}.pickle"


@dataclass(eq=False)
class SlurmEngine:
    """Orders as jobs, at most so many at once as the array has; what waits goes into the next job that is free.

    Args:
        options: What the reader chose.
        folder: For scripts, logs and replies; all nodes must see it.
    """

    options: SlurmOptions
    folder: Path
    _waiting: list[tuple[bool, Order]] = field(default_factory=list)
    _jobs: list[tuple[Any, list[Order]]] = field(default_factory=list)
    _excluded: set[str] = field(default_factory=set)
    _unfit: bool = False

    def __post_init__(self) -> None:
        try:
            self._executor = submitit.AutoExecutor(self.folder, cluster=self.options.executor)
            self._executor.update_parameters(name="icl-claims", **self.options.parameters())
        except (RuntimeError, ValueError, AssertionError, TypeError, NameError) as error:
            todo = "Run where sbatch is, or try it without SLURM: --claims-slurm-executor local."
            raise EngineError("No job can be sent to SLURM", got=str(error), todo=todo) from error

    @property
    def slots(self) -> int:
        """How many trials the jobs of an array hold."""
        return 0 if self._unfit else self.options.array * self.options.trials

    def submit(self, order: Order, *, urgent: bool) -> None:
        """Take an order for the next job."""
        self._waiting.append((urgent, order))

    def wait(self, seconds: float) -> list[Reply]:
        """Begin jobs, and give the replies that lie there, once there is one or so many seconds have passed."""
        end, found = time.monotonic() + seconds, list[Reply]()
        self._begin()
        while not found:
            found = self._replies()
            if not found and time.monotonic() >= end:
                return []
            if not found:
                time.sleep(min(POLLS[self.options.executor], max(end - time.monotonic(), 0)))
        return found

    def refuse(self, worker: str) -> None:
        """Send nothing more to the node of a worker; nothing at all where all jobs run on this machine."""
        if self.options.executor != "slurm":
            self._unfit = True
            return
        self._excluded.add(worker.partition(" ")[0])
        self._executor.update_parameters(slurm_exclude=",".join(sorted(self._excluded)))

    def cancel(self) -> None:
        """Forget what waits, and cancel the jobs."""
        self._waiting.clear()
        for job, _ in self._jobs:
            with suppress(Exception):  # it may have ended by itself
                job.cancel()
        self._jobs.clear()

    def close(self) -> None:
        """Cancel the jobs."""
        self.cancel()

    def _begin(self) -> None:
        """Fill the jobs that are free, with as many orders each as there are for all of them, up to the most."""
        free = self.options.array - len(self._jobs)
        if free <= 0 or not self._waiting:
            return
        self._waiting.sort(key=lambda one: not one[0])
        size = min(self.options.trials, -(-len(self._waiting) // free))
        taken = [order for _, order in self._waiting[: size * free]]
        del self._waiting[: size * free]
        groups = [taken[start : start + size] for start in range(0, len(taken), size)]
        works = [TrialsOfJob(tuple(group), self.folder) for group in groups]
        with self._executor.batch() if len(works) > 1 else nullcontext():
            jobs = [self._executor.submit(work) for work in works]
        self._jobs += zip(jobs, groups, strict=True)

    def _replies(self) -> list[Reply]:
        found, going_on = list[Reply](), list[tuple[Any, list[Order]]]()
        for job, orders in self._jobs:
            over = job.done()  # before its replies are read, so that none comes in between
            found += _read(self.folder, orders)
            if over:
                found += [Lost(order.name, _why(job)) for order in orders]
            else:
                going_on.append((job, orders))
        self._jobs = going_on
        return found


def _read(folder: Path, orders: list[Order]) -> list[Reply]:
    """The replies that are there; their orders are taken off the list."""
    found = list[Reply]()
    for order in tuple(orders):
        path = reply_file(folder, order.name)
        with suppress(FileNotFoundError):
            reply = pickle.loads(path.read_bytes())
            assert isinstance(reply, Done | Failed | Refused)
            found.append(reply)
            orders.remove(order)
            path.unlink(missing_ok=True)
    return found


def _why(job: Any) -> str:
    with suppress(Exception):
        raised = job.exception()
        lines = str(raised).strip().splitlines() if raised is not None else []
        state = str(job.state)
        return f"job {job.job_id} ended as {state}" + (f" ({lines[-1].strip()})" if lines else "")
    return f"job {job.job_id} ended without a word"
