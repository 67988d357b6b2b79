"""How long trials may take: an end in time, which every worker shares."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from icl_claims.errors import UsageError
from icl_claims.pytest_plugin.columns import shares_budget
from icl_claims.pytest_plugin.options import DEFAULT_BUDGET, draws_are_fixed
from icl_claims.pytest_plugin.workers import beginning

NOTE = "icl_claims_interrupted"
"""Under which an xdist worker is told where a note lies once the run is interrupted."""
INTERRUPTED = "Interrupted: what is undecided stays so; once more to stop at once."
"""What is told where a run is interrupted for the first time."""


class Interrupted(KeyboardInterrupt):
    """The controller of the workers was interrupted."""


@dataclass(eq=False)
class Budget:
    """When no further trial is begun.

    Args:
        until: In seconds since 1970; None without a limit.
        set: Whether there is one, which may last for more draws than the profile's.
        note: A file that is there when the run is interrupted; None where no other process would say so.
        whole: That of which it is a part.
    """

    until: float | None = None
    set: bool = False
    note: Path | None = None
    whole: Budget | None = None

    @property
    def over(self) -> bool:
        """Whether it ended, or the whole that it is a part of."""
        ended = self._interrupted or (self.until is not None and time.time() >= self.until)
        return ended or (self.whole is not None and self.whole.over)

    def part(self, parts: int) -> Budget:
        """One of so many equal parts of the time that is left, which begins now."""
        left = None if self.until is None else max(self.until - time.time(), 0.0)
        return Budget(None if left is None else time.time() + left / max(parts, 1), self.set, self.note, whole=self)

    def check(self) -> None:
        """Let a trial that is under way go on, which the end of a budget does not stop.

        Raises:
            Interrupted: The run was interrupted.
        """
        if self._interrupted:
            raise Interrupted

    def end(self) -> None:
        """Let it be over, with the whole that it is a part of."""
        self.until = time.time()
        if self.whole is not None:
            self.whole.end()

    @property
    def _interrupted(self) -> bool:
        return self.note is not None and self.note.exists()


def budget_of(config: pytest.Config) -> Budget:
    """The budget of a run, whichever worker asks.

    Raises:
        UsageError: It is no time.
    """
    if config.getoption("claims_no_more"):
        return Budget(0.0, set=True)  # what a budget ran beyond the profile's draws is read, too
    note, given = getattr(config, "workerinput", {}).get(NOTE), config.getoption("claims_budget")
    if given is None and shares_budget(config) and not draws_are_fixed(config):
        given = DEFAULT_BUDGET
    until = None if given is None else beginning(config).timestamp() + seconds_of(given)
    return Budget(until, given is not None, None if note is None else Path(note))


def seconds_of(text: str) -> float:
    """A time in seconds.

    >>> seconds_of("90s"), seconds_of("5m"), seconds_of("1.5h"), seconds_of("20")
    (90.0, 300.0, 5400.0, 20.0)

    Raises:
        UsageError: It is no time.
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise UsageError("The budget is no time", expected="such as 90s, 5m or 2h", got=repr(text))
    return seconds
