"""Seconds of some work, on the CPU or on CUDA devices, which are waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """The result of some work, and the seconds until all devices are done with it."""
    _wait()
    start = time.perf_counter()
    result = work()
    _wait()
    return result, time.perf_counter() - start


def _wait() -> None:
    """Wait for every CUDA device that this process uses; what it was given before does not count for what follows."""
    if torch.cuda.is_initialized():
        for device in range(torch.cuda.device_count()):
            torch.cuda.synchronize(device)
