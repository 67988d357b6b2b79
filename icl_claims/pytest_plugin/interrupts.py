"""Ctrl-C under xdist: the first ends the budget of every worker and lets the run go on to its report."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from icl_claims.pytest_plugin.budget import NOTE

TOLD = "Interrupted: trials under way stop, what is undecided stays so; once more to stop at once."


class Interrupts:
    """What the processes of a run do at a Ctrl-C, which a terminal sends to all of them.

    The controller leaves a note for the workers, who stop at the next step of a trial and begin no other, and are not
    stopped by the signal itself. Where no claim on trials is run, and without workers, all is as pytest has it.
    """

    def __init__(self, config: pytest.Config, collected: Callable[[], dict[str, dict[str, Any]]]) -> None:
        self._config, self._collected = config, collected
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Say to an xdist worker where the note would lie."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="icl_claims_")
        node.workerinput[NOTE] = str(self._note)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Take the first Ctrl-C as the end of the budget."""
        if self._folder is not None:
            first = self._end
        elif hasattr(self._config, "workerinput") and self._on_trials:
            first = ignore
        else:
            return (yield)
        with first_interrupt(first):
            return (yield)

    def pytest_unconfigure(self) -> None:
        """Remove the note."""
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def _note(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / "ended"

    @property
    def _on_trials(self) -> bool:
        return any(claim["source"] == "trials" for claim in self._collected().values())

    def _end(self) -> None:
        if not self._on_trials:
            raise KeyboardInterrupt
        self._note.touch()
        if self._config.get_verbosity() >= 0:
            with suppress(RuntimeError):  # it came in the middle of another line
                self._config.get_terminal_writer().line(f"\n{TOLD}", flush=True)


def ignore() -> None:
    """Do nothing: whoever has the run in hand got the signal, too."""


@contextmanager
def first_interrupt(then: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C calls a function while this lasts, in a main thread; the second is Python's own."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return

    def called(*_signal: object) -> None:
        signal.signal(signal.SIGINT, before)
        then()

    signal.signal(signal.SIGINT, called)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
