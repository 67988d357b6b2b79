"""Which claims a run looks at next, and after how many draws: where time is short, those that are soon decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import IN_CONTEXT, ZERO_SHOT
from icl_claims.methods import Method
from icl_claims.pytest_plugin.planned_claims import PlannedClaim

Piece = tuple[str, str, str]
"""A task, the weights, and what lacks there: a method, a metric, or diagnostics."""
Lacking = Mapping[Piece, Method | None]


@dataclass(eq=False)
class Agenda:
    """Claims that are undecided. Where time is short, the cheapest is looked at next, with those that need little more.

    Without a limit all trials of a look are run together, which takes the least time for all. What a claim costs is the
    work that is missing until it is decided, if the differences are as they seemed at its last look; before that, until
    its first one. Where that is not known, it is taken to need as many draws again. Others that wait for the same look
    are taken along if what they add takes no longer than what the cheapest needs: methods that answer together share
    the answers that they are compared with.

    Args:
        going_on: The claims.
        look_after: The next look after so many draws; None if there is none.
        missing: What lacks of the last trials before a look at a claim; none where they need not be run.
        work: That of a method in a trial, in any unit.
        hurried: Says whether time may end before all claims are decided, and has not ended yet.
    """

    going_on: list[PlannedClaim]
    look_after: Callable[[int], int | None]
    missing: Callable[[PlannedClaim, int], Iterable[TrialSpec]]
    work: Callable[[Method], float]
    hurried: Callable[[], bool]
    _found: dict[tuple[str, int], Lacking] = field(default_factory=dict)
    _done: dict[Piece, int] = field(default_factory=dict)

    def take(self) -> tuple[list[PlannedClaim], int] | None:
        """The claims to look at next, and after how many draws; None when there is none."""
        looks = {one: look for one in self.going_on if (look := self.look_after(one.look)) is not None}
        if not looks:
            return None
        if not self.hurried():
            look = min(looks.values())
            self.going_on = [one for one in looks if looks[one] > look]
            return [one for one in looks if looks[one] == look], look
        lacking = {one: self._lacking(one, look) for one, look in looks.items()}
        in_order = sorted(looks, key=lambda one: self._work(lacking[one]) * _draws(one, looks[one]))
        look, first = looks[in_order[0]], self._work(lacking[in_order[0]])
        taken, together = list[PlannedClaim](), dict[Piece, Method | None]()
        for one in (one for one in in_order if looks[one] == look):
            more = {**together, **lacking[one]}
            if not taken or self._work(more) - self._work(together) <= first:
                taken, together = [*taken, one], more
        self.going_on = [one for one in looks if one not in taken]
        self._done |= dict.fromkeys(together, look)
        return taken, look

    def put_back(self, claims: Sequence[PlannedClaim]) -> None:
        """Look at claims further."""
        self.going_on = [*self.going_on, *claims]

    def _lacking(self, one: PlannedClaim, look: int) -> Lacking:
        """What lacks of a draw, with the method that it is: what lacked at first, and was not run for others since."""
        if (one.test, look) not in self._found:
            lacked = {piece: method for spec in self.missing(one, look) for piece, method in _pieces(spec)}
            self._found[one.test, look] = lacked
        found = self._found[one.test, look]
        return {piece: method for piece, method in found.items() if self._done.get(piece, 0) < look}

    def _work(self, lacking: Lacking) -> float:
        """The work of a draw: of what lacks, and in each trial of the answers that it is compared with."""
        trials = {(task, weights) for task, weights, _ in lacking}
        compared = self.work(ZERO_SHOT) + self.work(IN_CONTEXT)
        return len(trials) * compared + sum(self.work(method) for method in lacking.values() if method is not None)


def _pieces(spec: TrialSpec) -> Iterable[tuple[Piece, Method | None]]:
    named: Iterable[tuple[str, Method | None]] = ((method.name, method) for method in spec.methods)
    others = (*(metric.name for metric in spec.metrics), *["diagnostics"] * spec.diagnostics, "answers")
    for name, method in (*named, *((other, None) for other in others)):
        yield (spec.task, spec.weights, name), method


def _draws(one: PlannedClaim, look: int) -> int:
    """How many draws a claim probably needs until it is decided."""
    until = max(look, one.needed or 2 * one.look) if one.look else look
    return until - one.look
