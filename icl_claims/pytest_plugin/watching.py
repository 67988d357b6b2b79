"""How what trials tell reaches whoever waits: through a file, where workers run them, which the controller reads."""

from __future__ import annotations

import os
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from icl_claims.pytest_plugin.events import Event, Tell, TrialRun, TrialsUnderWay, event_line, event_of, tell_nobody
from icl_claims.pytest_plugin.fixtures import end_line, visible

EVENTS = "icl_claims_events"
EVERY = 0.25
"""Seconds between two readings of the file."""
WATCH = "icl_claims_watch"


class Watch:
    """What a run has told so far, shown as it goes; a plugin of the process that a person looks at.

    Args:
        config: Of that process.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._display: Any = None
        self.seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        """By profile and task, how long each trial took that was run."""

    def take(self, event: Event) -> None:
        """Count what a trial cost, and show what was told."""
        if isinstance(event, TrialRun):
            self.seconds[event.profile, event.task].append(event.seconds)
        elif self._config.pluginmanager.hasplugin("terminalreporter") and self._config.get_verbosity() >= 0:
            if self._display is None:
                from icl_claims.pytest_plugin.display import Display

                self._display = Display(new_line=lambda: end_line(self._config))
            self._display.take(event)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Say to an xdist worker where to write, and begin to read there."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="icl_claims_")
            path = Path(self._folder.name) / "events.jsonl"
            path.touch()
            self._thread = threading.Thread(target=self._read, args=(path,), daemon=True)
            self._thread.start()
        node.workerinput[EVENTS] = str(Path(self._folder.name) / "events.jsonl")

    def _read(self, path: Path) -> None:
        with path.open(encoding="utf-8") as file:
            over, begun = False, ""
            while not over:
                over = self._ended.wait(EVERY)
                for line in file:
                    begun += line
                    if begun.endswith("\n"):
                        self.take(event_of(begun))
                        begun = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self) -> None:
        """Make room for what pytest prints."""
        if self._display is not None:
            self._display.clear()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Take in the last of what was told."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._display is not None:
            self._display.clear()

    def pytest_unconfigure(self) -> None:
        """Remove the file."""
        if self._folder is not None:
            self._folder.cleanup()


def teller_of(config: pytest.Config) -> Tell:
    """How a process tells what its trials do."""
    if hasattr(config, "workerinput"):
        named = config.workerinput.get(EVENTS)
        return tell_nobody if named is None else _Written(Path(named))
    watch: Watch | None = config.pluginmanager.getplugin(WATCH)
    if watch is None:
        return tell_nobody

    def tell(event: Event) -> None:
        with visible(config):
            watch.take(event)

    return tell


class _Written:
    """Writes events into a file that workers share, each line at once; steps of a trial not more often than is read."""

    def __init__(self, path: Path) -> None:
        self._path, self._last = path, 0.0

    def __call__(self, event: Event) -> None:
        import time

        if isinstance(event, TrialsUnderWay) and time.monotonic() - self._last < EVERY:
            return
        self._last = time.monotonic()
        place = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(place, event_line(event).encode())
        finally:
            os.close(place)
