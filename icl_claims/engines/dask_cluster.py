"""Trials on a dask cluster: one that is started here, or one that is there already, as dask-jobqueue starts them."""

from __future__ import annotations

import asyncio
import queue
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any

import torch
from dask import config
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster
from distributed.scheduler import KilledWorker

from icl_claims.engines.engine import Lost, Order, Refused, Reply
from icl_claims.engines.worker import run_order
from icl_claims.errors import EngineError

START = 60
"""Seconds within which a scheduler must answer."""


class DaskEngine:
    """Orders as tasks of dask, each for one worker at a time.

    Args:
        address: Of the scheduler, such as tcp://host:8786; None to start a cluster on this machine.
        workers: How many are started, by default one for each CUDA device, or processor where there is none; of a
            cluster that is there, how many to keep busy at least, as one that grows by demand may have none yet.

    Raises:
        EngineError: nobody answers at the address, or no worker can be started here.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self._cluster = _local_cluster(workers or torch.cuda.device_count() or CPU_COUNT) if address is None else None
        self._least = (workers or 1) if address is not None else 1
        try:
            self._client = Client(address or self._cluster, timeout=START, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            todo = "Start one with `dask scheduler`, or leave out the address."
            raise EngineError(
                "No dask scheduler answers", expected=f"one at {address}", got=str(error), todo=todo
            ) from error
        self._futures: dict[str, Any] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._refused: set[str] = set()
        self._address_of: dict[str, str] = {}

    @property
    def slots(self) -> int:
        """How many workers there are, but those that refused."""
        fit = len(self._fit())
        return fit if self._refused else max(fit, self._least)

    def submit(self, order: Order, *, urgent: bool) -> None:
        """Have dask run an order on a worker that did not refuse; what is urgent first."""
        only = {"workers": self._fit(), "allow_other_workers": False} if self._refused else {}
        future = self._client.submit(
            _run_on_worker, order, key=order.name, priority=int(urgent), pure=False, retries=0, **only
        )
        self._futures[order.name] = future
        future.add_done_callback(lambda _future, name=order.name: self._ended.put(name))

    def wait(self, seconds: float) -> list[Reply]:
        """What ended since, once something did or so many seconds have passed.

        Raises:
            EngineError: the scheduler is gone.
        """
        names = list[str]()
        with suppress(queue.Empty):
            names.append(self._ended.get(timeout=seconds))
            while True:
                names.append(self._ended.get_nowait())
        if not names and self._client.status not in ("running", "connecting", "newly-created"):
            todo = "What was run is kept: start a scheduler and run again."
            raise EngineError("The dask scheduler is gone", got=f"status {self._client.status}", todo=todo)
        return [self._reply(name) for name in names if name in self._futures]

    def refuse(self, worker: str) -> None:
        """Send nothing more to a worker."""
        self._refused.add(self._address_of.get(worker, worker))

    def cancel(self) -> None:
        """Forget all orders; a worker ends the one that it is at."""
        futures, self._futures = [*self._futures.values()], {}
        with suppress(OSError, TimeoutError, CancelledError, RuntimeError):
            self._client.cancel(futures, force=True)

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        self._futures.clear()
        with suppress(OSError, TimeoutError, asyncio.CancelledError):
            self._client.close(timeout=5)
        if self._cluster is not None:
            self._cluster.close(timeout=5)

    def _fit(self) -> list[str]:
        known = self._client.scheduler_info(n_workers=-1)["workers"]
        return [address for address in known if address not in self._refused]

    def _reply(self, name: str) -> Reply:
        future = self._futures.pop(name)
        try:
            address, reply = future.result()
        except KilledWorker as error:
            return Lost(name, f"dask gave it up after {error.last_worker.address}")
        except (CancelledError, asyncio.CancelledError) as error:
            return Lost(name, f"dask cancelled it ({type(error).__name__})")
        except Exception as error:
            got, todo = (
                f"{type(error).__name__}: {error}",
                "Install the same icl-claims there, with dask of one version.",
            )
            raise EngineError("A dask worker could not read its order", got=got, todo=todo) from error
        if isinstance(reply, Refused):
            self._address_of[reply.worker] = address
        found: Reply = reply
        return found


def _run_on_worker(order: Order) -> tuple[str, Reply]:
    from distributed import get_worker

    return str(get_worker().address), run_order(order)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes that begin while this lasts are not ended by a Ctrl-C, which is for this one to answer."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _local_cluster(workers: int) -> LocalCluster:
    """Workers on this machine, which share its processors; dask starts another where one is lost."""
    environment = {"OMP_NUM_THREADS": str(max(1, CPU_COUNT // workers))}
    named = config.get("distributed.nanny.pre-spawn-environ", {})
    with config.set({"distributed.nanny.pre-spawn-environ": {**named, **environment}}):
        try:
            with _deaf_children():
                return LocalCluster(
                    n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0
                )
        except RuntimeError as error:
            todo = "Try fewer workers: ⟨engine_workers⟩."
            raise EngineError(f"dask could not start {workers} workers here", got=str(error), todo=todo) from error
