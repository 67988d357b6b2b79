"""A claim on its way through rounds of draws: what it needs, what it said at each look, why no more draws are run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from icl_claims.claims import Claim, Verdict
from icl_claims.evidence.rounds import DECIDED, Need
from icl_claims.pytest_plugin.events import Look
from icl_claims.pytest_plugin.records import UNFINISHED, effect_of

NEVER, UNKNOWN = "never", "unknown"
"""What is said at a look of a claim that no draw would decide, and of one that can be asked in its own test alone."""
ENOUGH, FAILED, NO_TIME, LAST = "enough", "failed", "no time", "last"
"""Why no further draws are run for a claim."""
STOPPED = {
    ENOUGH: "then it was decided",
    NEVER: "no further draw is expected to decide it here",
    NO_TIME: UNFINISHED,
    LAST: "as many as were to be run",
}


@dataclass(eq=False)
class PlannedClaim:
    """A claim that trials decide.

    Args:
        test: Id of its test.
        deciding: Its test, which is called at every look where the claim is no comparison; None where it cannot be.
        needs: What it needs of trials.
        look: After how many draws it was looked at last.
        needed: After how many it would probably be decided, by that look; None where that is not known.
        stopped: Why no further draws are run for it.
        failure: What its trials raised.
        looks: What it said at every look where that is known: the draws, the word, and the effect over all tasks.
    """

    test: str
    claim: Claim
    deciding: Callable[..., Any] | None
    needs: frozenset[Need]
    look: int = 0
    needed: int | None = None
    stopped: str = ""
    failure: Exception | None = None
    looks: list[dict[str, Any]] = field(default_factory=list)

    def note(self, said: Mapping[str, Any], profile: str) -> Look | None:
        """Keep what it said at its last look, and whether it goes on; gives what is told of it."""
        word = str(said["verdict"])
        self.stopped = {NEVER: NEVER, **dict.fromkeys(DECIDED, ENOUGH)}.get(word, LAST)
        self.needed = (said.get("outlook") or {}).get("draws")
        if word == UNKNOWN:
            return None
        word = "inconclusive" if word == NEVER else word
        self.looks.append(_look(self.look, word, said["effect"]))
        tasks = tally(one["outcome"] for one in said["tasks"])
        return Look(profile, self.claim.id, self.look, word, tasks, said["effect"], over=self.stopped != LAST)

    def all_looks(self, verdict: Verdict) -> list[dict[str, Any]]:
        """All looks at it, the last of which gave its verdict."""
        before = [look for look in self.looks if look["draws"] < self.look]
        return [*before, _look(self.look, verdict.word, effect_of(verdict.comparison))]

    @property
    def draws(self) -> str:
        """How many draws of each task it was looked at after, and why no more were run, for reports."""
        return f"{self.look}; {STOPPED[self.stopped]}" if self.stopped in STOPPED else str(self.look)


def named(claims: Sequence[PlannedClaim]) -> str:
    """Who some claims are, in a few words."""
    return claims[0].claim.id if len(claims) == 1 else f"{len(claims)} claims"


def summary(profile: str, claims: Sequence[PlannedClaim]) -> str:
    """How many claims were decided when all rounds were over, and why the others were not."""
    of = {why: sum(one.stopped == why for one in claims) for why in (ENOUGH, NEVER, NO_TIME)}
    never = f", {of[NEVER]} cannot be decided here" * bool(of[NEVER])
    no_time = f", for {of[NO_TIME]} no time was left" * bool(of[NO_TIME])
    return f"Trials of profile {profile}: {of[ENOUGH]} of {len(claims)} claims are decided{never}{no_time}."


def tally(outcomes: Iterable[str]) -> str:
    """On how many tasks a claim holds, fails and is undecided.

    >>> tally(["holds", "holds", "fails", "unclear", "absent"])
    '2 ✓ 1 ✗ 2 ?'
    """
    said = list(outcomes)
    holds, fails = said.count("holds"), said.count("fails")
    signs = ((holds, "✓"), (fails, "✗"), (len(said) - holds - fails, "?"))
    return " ".join(f"{many} {sign}" for many, sign in signs if many)


def _look(draws: int, word: str, effect: Any) -> dict[str, Any]:
    return {"draws": draws, "verdict": word, "effect": effect}


def digest_of(found: Any) -> str:
    """SHA-256 of plain data."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
