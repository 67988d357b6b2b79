"""Whether a measurement of time was disturbed: how long its threads waited for a processor that others used."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

DISTURBED = 0.1
"""The share of its time from which on a measurement counts as disturbed."""
_THREADS = Path("/proc/self/task")


def waited(threads: int) -> Callable[[], float]:
    """Gives the share of the time since this call for which so many threads, in the mean, waited for a processor.

    It is 0 where the system does not tell, as any but Linux.
    """
    start, before = time.perf_counter(), _waited_so_far()
    return lambda: (_waited_so_far() - before) / (time.perf_counter() - start) / threads


def _waited_so_far() -> float:
    """Seconds that the threads of this process, all together, were ready to run and did not."""
    nanoseconds = 0
    for of_thread in _THREADS.glob("*/schedstat"):
        with suppress(OSError, ValueError):  # a thread that just ended
            _, waiting, _ = map(int, of_thread.read_text("ascii").split())
            nanoseconds += waiting
    return nanoseconds / 1e9
