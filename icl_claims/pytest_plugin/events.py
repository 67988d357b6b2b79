"""What a run tells whoever waits for it: where its trials stand, what they cost, and what claims say so far."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class TrialsUnderWay:
    """How many trials of a look are done, with a fraction for the one under way.

    Args:
        what: What they are run for.
        now: The trial under way and what it is doing.
        one_of_many: Whether they are one of many small steps, of whose ends nobody wants to be told.
    """

    profile: str
    what: str
    done: float
    total: int
    now: str
    one_of_many: bool = False


@dataclass(frozen=True)
class TrialRun:
    """A trial was run, and not read, in so many seconds."""

    profile: str
    task: str
    seconds: float


@dataclass(frozen=True)
class Look:
    """What a claim says after so many draws.

    Args:
        tasks: On how many tasks it holds, fails and is undecided, in signs.
        effect: The difference over all tasks with its interval, as records have it; None where there is none.
        over: Whether no more draws are run for it.
    """

    profile: str
    claim: str
    draws: int
    word: str
    tasks: str
    effect: Mapping[str, Any] | None
    over: bool


@dataclass(frozen=True)
class Said:
    """Something about the trials of a profile, in a sentence."""

    profile: str
    text: str


Event = TrialsUnderWay | TrialRun | Look | Said
Tell = Callable[[Event], None]
_KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in (TrialsUnderWay, TrialRun, Look, Said)}


def tell_nobody(_event: Event) -> None:
    """Keep it to oneself."""


def event_line(event: Event) -> str:
    """An event as a line of JSON, which another process reads."""
    return json.dumps([type(event).__name__, asdict(event)]) + "\n"


def event_of(line: str) -> Event:
    """The event of a line.

    >>> event_of(event_line(Said("tiny", "All is decided.")))
    Said(profile='tiny', text='All is decided.')
    """
    kind, facts = json.loads(line)
    return _KINDS[kind](**facts)
