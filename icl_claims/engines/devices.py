"""A device per worker: of several CUDA devices of a machine, each process takes one that no other has."""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock, Timeout

_HELD: list[FileLock] = []
"""Locks of this process, which the system takes back when it ends, however it does."""


def own_device(chosen: str | None) -> str | None:
    """The device for the model of a worker: a free one of several CUDA devices, unless the reader named one.

    Where all are taken, processes share them.
    """
    if chosen not in (None, "auto", "cuda") or torch.cuda.device_count() < 2:
        return chosen
    return _taken(tuple(_name(number) for number in range(torch.cuda.device_count())))


@cache
def _taken(names: tuple[str, ...]) -> str:
    return f"cuda:{first_free(names, Path(tempfile.gettempdir()) / f'icl_claims_devices_{getpass.getuser()}')}"


def first_free(names: Sequence[str], folder: Path) -> int:
    """The number of the first device that no other process holds, which this one holds from now on; else any.

    Args:
        names: Of the devices, the same in all processes of the machine.
        folder: Of the locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        lock = FileLock(folder / f"{name}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue
        _HELD.append(lock)
        return number
    return os.getpid() % len(names)


def _name(number: int) -> str:
    """The same for a device in every process, whichever of them it may see."""
    return str(getattr(torch.cuda.get_device_properties(number), "uuid", number))
