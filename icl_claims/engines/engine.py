"""What an engine is: it takes orders for trials, and gives what came of each, in the order in which they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from icl_claims.storage.store import Content


@dataclass(frozen=True)
class Order:
    """A trial that a worker runs.

    Args:
        name: Of this order alone; a trial that is sent again has another.
        key: Key of the trial.
        versions: Those of Python, of the libraries and of the code from which its numbers follow, by name.
        kernel: Computes float32 products on a CPU, where the worker was not told which.
        own: Modules of the reader's own that it needs, each with its file.
        payload: The specification and the setting, pickled; not read by a worker of other versions.
    """

    name: str
    key: str
    versions: Mapping[str, str]
    kernel: str
    own: tuple[tuple[str, str], ...]
    payload: bytes


@dataclass(frozen=True)
class Done:
    """A trial was run in so many seconds, or read where another worker had run it, which took no time (0)."""

    name: str
    content: Content
    seconds: float
    worker: str


@dataclass(frozen=True)
class Failed:
    """A trial raised an error."""

    name: str
    error: Exception


@dataclass(frozen=True)
class Lost:
    """A trial came to no end: its worker was lost, pre-empted, or out of time."""

    name: str
    why: str


@dataclass(frozen=True)
class Refused:
    """A worker that is not fit for a trial did not run it, and says which of its libraries or weights are others."""

    name: str
    worker: str
    why: str


Reply = Done | Failed | Lost | Refused


class Engine(Protocol):
    """Runs trials somewhere. What is run where, and when, is for the library behind it to schedule."""

    @property
    def slots(self) -> int:
        """How many trials it can run at once now; 0 if no worker is left that it may use."""

    def submit(self, order: Order, *, urgent: bool) -> None:
        """Take an order; what is urgent goes before what is not."""

    def wait(self, seconds: float) -> list[Reply]:
        """What came since, once there is something, or so many seconds have passed.

        Raises:
            EngineError: nothing will ever come, as nobody is there any more.
        """

    def refuse(self, worker: str) -> None:
        """Send nothing more to a worker that refused an order."""

    def cancel(self) -> None:
        """Forget all orders; as far as it can be done, end those under way."""

    def close(self) -> None:
        """End all workers that it started."""
