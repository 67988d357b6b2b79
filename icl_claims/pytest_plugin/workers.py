"""What one of several xdist workers takes: its threads, its device, its place in the line of trials."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import pytest

T = TypeVar("T")


@dataclass(frozen=True)
class Worker:
    """A process that runs tests.

    Args:
        number: from 0; one that replaces a crashed worker has a number beyond the others.
        count: how many there are at once.
    """

    number: int = 0
    count: int = 1

    def device(self, chosen: str | None, devices: int) -> str | None:
        """The device for a model: of several CUDA devices, each worker takes the next.

        Args:
            chosen: by the reader; None for any.
            devices: CUDA devices of the machine.
        """
        if self.count == 1 or not devices or chosen not in (None, "auto", "cuda"):
            return chosen
        return f"cuda:{self.number % devices}"

    def in_its_order(self, work: Sequence[T]) -> list[T]:
        """The same work, begun where no other worker begins."""
        first = len(work) * (self.number % self.count) // self.count
        return [*work[first:], *work[:first]]


def worker_of(config: pytest.Config) -> Worker:
    """The worker that this process is; the only one where xdist is not used."""
    told = getattr(config, "workerinput", None)
    return Worker() if told is None else Worker(int(told["workerid"].removeprefix("gw")), told["workercount"])


def share_threads(config: pytest.Config) -> None:
    """Give a worker its share of the processors, unless the reader said how many; before anything numerical is read."""
    worker = worker_of(config)
    if worker.count > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, processors() // worker.count)))


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
