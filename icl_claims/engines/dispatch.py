"""What is sent to an engine next: trials that were asked for, and while workers would wait, those that may be soon."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol

from icl_claims.engines.engine import Done, Engine, Failed, Lost, Order, Refused, Reply
from icl_claims.errors import EngineError
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.storage.store import Content

PAUSE = 0.25
"""Seconds until it is looked again whether time is over."""
WAITING = 8
"""One trial in so many that run waits at the workers, for the time in which the run decides what it asks next."""
MOST_LOSSES = 5
"""A trial with which so many workers were lost is not sent again: it may be what they are lost for."""


class Kept(Protocol):
    """Where trials are kept."""

    def missing(self, spec: TrialSpec, /) -> TrialSpec | None:
        """What is not there of a trial, which is not read; None if all is."""

    def found(self, spec: TrialSpec, /) -> TrialResult | TrialSpec:
        """The result of a trial; what would have to be run of it where something is missing or damaged."""

    def put(self, spec: TrialSpec, run: TrialSpec, content: Content, /) -> TrialResult | TrialSpec:
        """The same, once what was run of it is there."""


class Asking(Protocol):
    """Who asks for trials, of one setting of a run."""

    def order(self, spec: TrialSpec, /) -> Order:
        """The order for a trial."""

    def ran(self, spec: TrialSpec, seconds: float, /) -> None:
        """Note that a trial was run, and in how many seconds."""


@dataclass(frozen=True)
class _Sent:
    """A trial under way: what is run of it, for whom, and with how many workers it was lost."""

    run: TrialSpec
    who: Asking
    asked: TrialSpec | None
    losses: int = 0


@dataclass(eq=False)
class Dispatch:
    """Keeps an engine busy, for all rounds of a run.

    What is asked goes first. While fewer trials are under way than the engine can run, and some more that wait there,
    further ones are sent: those that the next rounds would ask for if nothing were decided in this one. What comes of
    them is kept, as of all others. Of one setting one trial is under way at a time.

    Args:
        engine: Runs trials.
        kept: Where they are kept.
        over: Says whether no trial is begun any more; those under way are waited for if they were asked for.
        say: Told in a sentence of workers that are lost or refused.
    """

    engine: Engine
    kept: Kept
    over: Callable[[], bool]
    say: Callable[[str], None] = lambda _text: None
    _under_way: dict[str, _Sent] = field(default_factory=dict)
    _settings: dict[str, str] = field(default_factory=dict)
    _broken: set[str] = field(default_factory=set)

    def __call__(
        self, asked: Sequence[TrialSpec], further: Iterable[TrialSpec], who: Asking
    ) -> Iterator[tuple[TrialSpec, TrialResult | Exception]]:
        """Give what came of trials when it is there, up to the end of time; what is kept already is not run.

        Args:
            asked: The trials.
            further: Those that may be asked for next, the most likely first.
            who: Asks for them.
        """
        waiting, ahead = deque(asked), iter(further)
        while True:
            yield from self._begin(waiting, who)
            if not waiting and not self._asked():
                return
            if self.over() and not self._awaited(waiting):
                return
            self._look_ahead(waiting, ahead, who)
            for reply in self.engine.wait(PAUSE):
                yield from self._take(reply, waiting)

    def stop(self) -> None:
        """Forget all that is under way."""
        self.engine.cancel()
        self._under_way.clear()
        self._settings.clear()

    @property
    def under_way(self) -> int:
        """How many trials are under way."""
        return len(self._under_way)

    @property
    def _room(self) -> int:
        slots = max(self.engine.slots, 1)  # a cluster may wait for the first order before it starts any worker
        return slots + -(-slots // WAITING)

    def _asked(self) -> int:
        return sum(sent.asked is not None for sent in self._under_way.values())

    def _awaited(self, waiting: Iterable[TrialSpec]) -> bool:
        return self._asked() > 0 or any(_setting(spec) in self._settings for spec in waiting)

    def _begin(self, waiting: deque[TrialSpec], who: Asking) -> Iterator[tuple[TrialSpec, TrialResult]]:
        """Send what is asked, give what is kept; what waits for another trial of its setting stays, in its order."""
        for _ in range(len(waiting)):
            spec = waiting.popleft()
            if _setting(spec) in self._settings or self._asked() >= self._room:
                waiting.append(spec)
                continue
            found = self.kept.found(spec)
            if isinstance(found, TrialResult):
                yield spec, found
            elif not self.over():
                self._send(_Sent(found, who, spec))

    def _look_ahead(self, waiting: Sequence[TrialSpec], ahead: Iterator[TrialSpec], who: Asking) -> None:
        mine = {_setting(spec) for spec in waiting}
        while len(self._under_way) < self._room and not self.over():
            spec = next(ahead, None)
            if spec is None:
                return
            setting = _setting(spec)
            if setting in self._settings or setting in self._broken or setting in mine:
                continue
            if (missing := self.kept.missing(spec)) is not None:
                self._send(_Sent(missing, who, None))

    def _send(self, sent: _Sent) -> None:
        order = sent.who.order(sent.run)
        self._under_way[order.name] = sent
        self._settings[_setting(sent.run)] = order.name
        self.engine.submit(order, urgent=sent.asked is not None)

    def _take(self, reply: Reply, waiting: deque[TrialSpec]) -> Iterator[tuple[TrialSpec, TrialResult | Exception]]:
        sent = self._under_way.pop(reply.name, None)
        if sent is None:  # of an order that was cancelled
            return
        del self._settings[_setting(sent.run)]
        error: Exception | None = None
        match reply:
            case Done(content=content, seconds=seconds):
                if seconds:
                    sent.who.ran(sent.run, seconds)
                found = self.kept.put(sent.asked or sent.run, sent.run, content)
                if sent.asked is not None and isinstance(found, TrialResult):
                    yield sent.asked, found
                elif sent.asked is not None:
                    waiting.appendleft(sent.asked)
            case Failed():
                error = reply.error
            case Lost(why=why):
                error = self._again(replace(sent, losses=sent.losses + 1), why)
            case Refused(worker=worker, why=why):
                error = self._elsewhere(sent, worker, why)
        if error is not None:
            self._broken.add(_setting(sent.run))
            if sent.asked is not None:
                yield sent.asked, error

    def _again(self, sent: _Sent, why: str) -> Exception | None:
        if sent.losses >= MOST_LOSSES:
            todo = "See what ends them: memory, walltime, or the trial itself (run it with --claims-engine local)."
            lost = f"{MOST_LOSSES} workers were lost with one trial of {sent.run.task}"
            return EngineError(lost, expected="a worker that lives as long as a trial", got=why, todo=todo)
        self.say(f"A worker was lost with a trial of {sent.run.task}, which is sent again: {why}.")
        self._send_on(sent)
        return None

    def _elsewhere(self, sent: _Sent, worker: str, why: str) -> Exception | None:
        self.engine.refuse(worker)
        if not self.engine.slots:
            todo = "Give every worker the environment and the files of this process."
            return EngineError(f"No worker is fit for the trials: {worker} refuses, {why}", todo=todo)
        self.say(f"The worker {worker} is refused: {why}.")
        self._send_on(sent)
        return None

    def _send_on(self, sent: _Sent) -> None:
        if not self.over() or sent.asked is not None:
            self._send(sent)


@lru_cache(maxsize=16384)
def _setting(spec: TrialSpec) -> str:
    return spec.setting()
