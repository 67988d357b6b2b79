"""What a person sees while trials run: a live table in a terminal, elsewhere a line for every verdict."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from threading import RLock

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from icl_claims.pytest_plugin.events import Event, Look, Said, TrialsUnderWay
from icl_claims.report.verdicts import OF_WORD
from icl_claims.report.words import duration, interval, number

BETWEEN_LINES = 20.0
"""Seconds between two lines about trials under way, where no terminal shows them as they go."""
BETWEEN_PICTURES = 0.2
ROOM = 8
"""Lines of a terminal that the table leaves to the rest."""


class Display:
    """Shows what a run tells. In a terminal a table stands below all else, and is taken away when others print.

    Args:
        new_line: Ends the line that others have begun.
    """

    def __init__(self, console: Console | None = None, new_line: Callable[[], None] = lambda: None) -> None:
        self._console, self._new_line = console, new_line
        self._looks: dict[tuple[str, str], Look] = {}
        self._under_way: TrialsUnderWay | None = None
        self._said: set[str] = set()
        self._live: Live | None = None
        self._began = self._shown = self._printed = time.monotonic()
        self._lock = RLock()

    def take(self, event: Event) -> None:
        """Show what was told, which several processes may tell alike."""
        with self._lock:
            match event:
                case TrialsUnderWay():
                    self._go_on(event)
                case Look():
                    self._look(event)
                case Said(text=text) if text not in self._said:
                    self._said.add(text)
                    self._print(Text(text))
            if self._in_terminal:
                self._show()

    def clear(self) -> None:
        """Take the table away, so that others can print."""
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None

    def _go_on(self, event: TrialsUnderWay) -> None:
        before = self._under_way
        if before is None or (before.profile, before.what) != (event.profile, event.what):
            self._began = time.monotonic()
        elif event.done < before.done:  # another process is further
            return
        self._under_way = event
        if self._in_terminal:
            return
        over = event.done == event.total and (before is None or before.done < before.total or before.what != event.what)
        if (over and not event.one_of_many) or time.monotonic() - self._printed > BETWEEN_LINES:
            self._printed = time.monotonic()
            self._print(self._progress(event))

    def _look(self, event: Look) -> None:
        known = self._looks.pop((event.profile, event.claim), None)
        self._looks[event.profile, event.claim] = event  # the newest last
        if event.over and (known is None or not known.over) and not self._in_terminal:
            self._print(
                Text.assemble(
                    f"{event.profile}, {event.claim}: ",
                    (event.word, OF_WORD[event.word].colour),
                    f" after {event.draws} draws{_effect(event)}",
                )
            )

    @property
    def _in_terminal(self) -> bool:
        return self._printer.is_terminal

    @property
    def _printer(self) -> Console:
        return self._console or Console(file=sys.stdout)

    def _print(self, text: Text) -> None:
        if self._live is not None:
            self._live.console.print(text, highlight=False)
            return
        self._new_line()
        self._printer.print(text, highlight=False, soft_wrap=True)

    def _show(self) -> None:
        if self._live is None:
            self._new_line()
            self._live = Live(console=self._printer, auto_refresh=False, transient=True)
            self._live.start()
        elif time.monotonic() - self._shown < BETWEEN_PICTURES:
            return
        self._shown = time.monotonic()
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        table = Table("claim", "profile", "draws", "tasks", "mean difference", "so far", box=None, padding=(0, 1))
        newest = [*self._looks.values()][-max(self._printer.height - ROOM, 1) :]
        for one in newest:
            word = Text(one.word, OF_WORD[one.word].colour)
            table.add_row(one.claim, one.profile, str(one.draws), one.tasks, _effect(one).strip(", "), word)
        return Group(*[table] * bool(newest), self._progress(self._under_way))

    def _progress(self, event: TrialsUnderWay | None) -> Text:
        if event is None:
            return Text("")
        spent = time.monotonic() - self._began
        if event.done == event.total:
            return Text(f"{event.profile}, {event.what}: all {event.total} trials in {duration(spent)}")
        left = spent / event.done * (event.total - event.done) if event.done else 0.0
        about = f", about {duration(left)} left" if event.done >= 1 and left > 1 else ""
        done = f"{int(event.done)} of {event.total} trials"
        return Text(f"{event.profile}, {event.what}: {done}, {duration(spent)} elapsed{about} ({event.now})")


def _effect(one: Look) -> str:
    if not one.effect:
        return ""
    return f", {number(one.effect['estimate'])} {interval(one.effect['low'], one.effect['high'])}"
