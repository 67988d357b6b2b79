"""How long trials may take: an end in time, which every worker shares."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from icl_claims.errors import UsageError
from icl_claims.pytest_plugin.options import DEFAULT_BUDGET, draws_are_fixed, many_columns
from icl_claims.pytest_plugin.workers import beginning

NOTE = "icl_claims_interrupted"
"""Under which an xdist worker is told where a note lies once the run is interrupted."""


class Interrupted(KeyboardInterrupt):
    """The controller of the workers was interrupted."""


@dataclass(eq=False)
class Budget:
    """When no further trial is begun.

    Args:
        until: In seconds since 1970; None without a limit.
        set: Whether there is one, which may last for more draws than the profile's.
        note: A file that is there when the run is interrupted; None where no other process would say so.
    """

    until: float | None = None
    set: bool = False
    note: Path | None = None

    @property
    def over(self) -> bool:
        """Whether it ended."""
        return self._interrupted or (self.until is not None and time.time() >= self.until)

    def check(self) -> None:
        """Let a trial that is under way go on, which the end of a budget does not stop.

        Raises:
            Interrupted: The run was interrupted.
        """
        if self._interrupted:
            raise Interrupted

    def end(self) -> None:
        """Let it be over."""
        self.until = time.time()

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
    if given is None and many_columns(config) and not draws_are_fixed(config):
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
