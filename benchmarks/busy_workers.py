"""How busy a run keeps its workers: rounds, look-ahead and dispatch as they are, workers and trials simulated.

`python -m benchmarks.busy_workers` prints a table. A trial takes the sum of its methods' seconds as measured
(`trial_costs.json`), times a scale that makes it that of a larger model, times a lognormal spread as measured.
"""

from __future__ import annotations

import heapq
import json
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from statistics import fmean

import numpy as np

from icl_claims.claims import GENERALLY, Claim, Paper
from icl_claims.engines.dispatch import Dispatch
from icl_claims.engines.engine import Done, Lost, Order, Reply
from icl_claims.experiments.plan import resolve
from icl_claims.experiments.profiles import PROFILES, Choices
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import LEARNING, STUDIES
from icl_claims.methods import Finetuning, InContext, LayerCausal, Linearized, SwitchedLabels, ZeroShot
from icl_claims.metrics import accuracy
from icl_claims.pytest_plugin.held_trials import setting_of
from icl_claims.pytest_plugin.rounds_of_run import RoundsOfRun
from icl_claims.pytest_plugin.verdict_cache import VerdictCache
from icl_claims.storage.store import Content

COSTS = json.loads(Path(__file__).with_name("trial_costs.json").read_text(encoding="utf-8"))
QUERIES = 32


@dataclass(frozen=True)
class Conditions:
    """What is simulated.

    Args:
        scale: How many times as long trials take as those of `tiny`.
        stragglers: Share of trials that take `slower` times as long.
        lost_every: Mean seconds until a worker is lost or pre-empted, with the trial under way.
        back_after: Seconds until another comes in its place.
        deciding: Seconds for which the run looks at a claim and sends nothing.
        budget: Seconds after which no trial is begun; None where the profile's draws end the run.
    """

    workers: int = 64
    scale: float = 100.0
    stragglers: float = 0.05
    slower: float = 4.0
    lost_every: float = 3600.0
    back_after: float = 120.0
    deciding: float = 0.2
    budget: float | None = 1800.0
    looks_ahead: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Busy:
    """What came of a simulation.

    Args:
        busy: Share of the time for which workers were there that they spent on trials.
        lost: Share of that which was lost with workers.
        ahead: Share of the trials that no claim had asked for in the end.
        seconds: Until the last claim was looked at.
        trials: How many were run to their end.
    """

    busy: float
    lost: float
    ahead: float
    seconds: float
    trials: int


@dataclass(eq=False)
class SimulatedEngine:
    """Workers that take time without anything being run."""

    conditions: Conditions
    specs: dict[str, TrialSpec] = field(default_factory=dict)
    clock: float = 0.0
    spent: float = 0.0
    wasted: float = 0.0
    _late: list[Reply] = field(default_factory=list)
    _away: list[tuple[float, float]] = field(default_factory=list)
    _begun: dict[str, float] = field(default_factory=dict)
    _queue: list[tuple[int, int, Order]] = field(default_factory=list)
    _events: list[tuple[float, int, str, Order | None]] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self._draw = np.random.default_rng(self.conditions.seed)
        self._idle = self.conditions.workers

    @property
    def slots(self) -> int:
        """All workers, since those that are away come back."""
        return self.conditions.workers

    def submit(self, order: Order, *, urgent: bool) -> None:
        """Queue an order."""
        heapq.heappush(self._queue, (-int(urgent), next(self._number), order))
        self._start()

    def wait(self, seconds: float) -> list[Reply]:
        """Let time pass up to the next reply, or by so much."""
        replies, self._late = self._late, []
        end = self.clock + seconds
        while not replies and self._events and self._events[0][0] <= end:
            replies += self._pass_to_next()
        self.clock = self.clock if replies else end
        return replies

    def think(self, seconds: float) -> None:
        """Let time pass while nobody takes replies."""
        end = self.clock + seconds
        while self._events and self._events[0][0] <= end:
            self._late += self._pass_to_next()
        self.clock = end

    def refuse(self, worker: str) -> None:
        """Nobody refuses."""

    def cancel(self) -> None:
        """Nobody cancels."""

    def close(self) -> None:
        """Nothing is open."""

    @property
    def there(self) -> float:
        """Seconds for which workers were there by now, of all together."""
        away = sum(min(until, self.clock) - since for since, until in self._away)
        return self.conditions.workers * self.clock - away

    @property
    def at_trials(self) -> float:
        """Seconds that they spent on trials by now."""
        return self.spent + sum(self.clock - began for began in self._begun.values())

    def _pass_to_next(self) -> list[Reply]:
        self.clock, _, what, order = heapq.heappop(self._events)
        if order is None:
            self._idle += 1
            self._start()
            return []
        spent = self.clock - self._begun.pop(order.name)
        self.spent += spent
        if what == "lost":
            self.wasted += spent
            back = self.clock + self.conditions.back_after
            self._away.append((self.clock, back))
            heapq.heappush(self._events, (back, next(self._number), "back", None))
            return [Lost(order.name, "pre-empted")]
        self._idle += 1
        self._start()
        return [Done(order.name, ({}, {}), spent, "simulated")]

    def _start(self) -> None:
        while self._idle and self._queue:
            order = heapq.heappop(self._queue)[2]
            self._idle -= 1
            takes, lasts = self._seconds(self.specs[order.name]), self._draw.exponential(self.conditions.lost_every)
            self._begun[order.name] = self.clock
            event = (self.clock + min(takes, lasts), next(self._number), "done" if takes <= lasts else "lost", order)
            heapq.heappush(self._events, event)

    def _seconds(self, spec: TrialSpec) -> float:
        known = COSTS["seconds"]
        learners = fmean(value for name, value in known.items() if name.startswith(("finetuning", "layer_causal")))
        alone = sum(known.get(method.name, learners) for method in spec.answering) + known["metrics"]
        slower = self.conditions.slower if self._draw.random() < self.conditions.stragglers else 1.0
        return float(alone * self.conditions.scale * slower * np.exp(self._draw.normal(0, COSTS["spread"])))


class InMemory:
    """Results that are made up when they are asked for, of methods that were run."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str, int, int], set[str]] = {}

    def missing(self, spec: TrialSpec) -> TrialSpec | None:
        """What was not run of a trial."""
        held = self._held.get(setting_of(spec))
        methods = tuple(method for method in spec.methods if held is None or method.name not in held)
        return replace(spec, methods=methods) if methods or held is None else None

    def found(self, spec: TrialSpec) -> TrialResult | TrialSpec:
        """The result, or what was not run."""
        return self.missing(spec) or made_up(spec)

    def put(self, spec: TrialSpec, run: TrialSpec, content: Content) -> TrialResult | TrialSpec:
        """The same, once it was run."""
        self._held.setdefault(setting_of(run), set()).update(method.name for method in run.answering)
        return self.found(spec)


@dataclass(eq=False)
class SimulatedTrials:
    """What rounds take for the execution of trials."""

    engine: SimulatedEngine
    kept: InMemory
    further: Callable[[], Iterable[TrialSpec]] = tuple
    asked: set[tuple[str, str, int, int]] = field(default_factory=set)
    ran_of: set[tuple[str, str, int, int]] = field(default_factory=set)
    ran_trials: int = 0

    def __post_init__(self) -> None:
        self._dispatch = Dispatch(self.engine, self.kept, lambda: self.over)
        self._numbers = count()

    def __call__(self, what: str, specs: Sequence[TrialSpec]) -> Iterator[tuple[TrialSpec, TrialResult | Exception]]:
        """Run trials on the simulated workers."""
        self.asked |= {setting_of(spec) for spec in specs}
        further = self.further() if self.engine.conditions.looks_ahead else ()
        yield from self._dispatch(specs, further, self)

    def missing(self, spec: TrialSpec) -> TrialSpec | None:
        """What was not run of a trial."""
        return self.kept.missing(spec)

    @property
    def over(self) -> bool:
        """Whether the budget ended."""
        budget = self.engine.conditions.budget
        return budget is not None and self.engine.clock >= budget

    def order(self, spec: TrialSpec) -> Order:
        """An order that nobody reads."""
        name = f"order {next(self._numbers)}"
        self.engine.specs[name] = spec
        return Order(name, "", {}, "", (), b"")

    def ran(self, spec: TrialSpec, seconds: float) -> None:
        """Count a trial."""
        self.ran_trials += 1
        self.ran_of.add(setting_of(spec))


MINE = Paper("simulated", "Claims of a simulation")
ICL, ZSL, FT, LC, LINEAR = InContext(), ZeroShot(), Finetuning(), LayerCausal(), Linearized()
RIGHT = {"zero_shot": 0.3, "in_context": 0.85, "finetuning": 0.55, "layer_causal": 0.6, "linearized": 0.65}
"""How often each method is right; others are right as often as zero-shot."""


def claims() -> list[Claim]:
    """Claims that need few draws, some, and more than there are."""
    better = [(ICL, ZSL), (ICL, FT), (ICL, LC), (ICL, LINEAR), (FT, ZSL), (LC, ZSL), (LINEAR, ZSL)]
    unclear = [(LC, FT), (LINEAR, LC), (LINEAR, FT)]
    false = [(FT, ICL), (ZSL, LC), (ZSL, ICL)]
    switched = SwitchedLabels(FT, "random")
    asked = [*(accuracy(one) > accuracy(other) for one, other in (*better, *unclear, *false)), accuracy(switched) > 0.5]
    return [
        Claim(f"claim-{number}", MINE, "section 1", "It is so.", GENERALLY, lambda q=question: (q,))
        for number, question in enumerate(asked)
    ]


def made_up(spec: TrialSpec) -> TrialResult:
    """A trial in which each method is right as often as it is said to be, by the seed."""
    gold = np.random.default_rng([spec.seed, zlib.crc32(spec.task.encode())]).integers(0, 2, QUERIES)
    answers = {}
    for one in spec.answering:
        draw = np.random.default_rng([spec.seed, zlib.crc32(f"{spec.task} {one.name}".encode())])
        correct = draw.random(QUERIES) < RIGHT.get(one.name, RIGHT["zero_shot"])
        answers[one.name] = np.log(np.eye(2)[np.where(correct, gold, 1 - gold)] * 0.8 + 0.1)
    return TrialResult(
        spec=spec,
        query_rows=np.arange(QUERIES) + QUERIES * spec.seed,
        gold=gold,
        log_probabilities=answers,
        content_free={name: np.zeros((0, 2)) for name in answers},
        by_layer={},
        provenance={"model": "made up", "notes": []},
    )


def simulate(conditions: Conditions) -> Busy:
    """How busy the workers were until all claims were decided, or could not be, or no time was left."""
    engine = SimulatedEngine(conditions)
    trials = SimulatedTrials(engine, InMemory())
    run = resolve(Choices(PROFILES["tiny"]))
    asked = {one.id: (one, None) for one in claims()}
    with tempfile.TemporaryDirectory() as folder:
        rounds = RoundsOfRun(
            run,
            tuple(STUDIES[name] for name in ("main", "labels", LEARNING)),
            asked,
            trials,
            VerdictCache(Path(folder)),
            {"profile": "simulated"},
            going_on=conditions.budget is not None,
            tell=lambda _event: engine.think(conditions.deciding),
        )
        trials.further = rounds.further
        _ = rounds.finished
    unasked = len(trials.ran_of - trials.asked) / max(len(trials.ran_of), 1)
    busy, lost = engine.at_trials / engine.there, engine.wasted / max(engine.at_trials, 1e-9)
    return Busy(busy, lost, unasked, engine.clock, trials.ran_trials)


CASES = {
    "half an hour": Conditions(),
    "half an hour, no look-ahead": Conditions(looks_ahead=False),
    "half an hour, twice as many stragglers, workers lost twice as often": Conditions(stragglers=0.1, lost_every=1800),
    "all draws of the profile": Conditions(budget=None),
    "all draws of the profile, no look-ahead": Conditions(budget=None, looks_ahead=False),
    "8 workers, all draws of the profile": Conditions(workers=8, budget=None),
}


def main() -> None:
    """Print how busy workers are in each case."""
    rows = ["| case | busy | lost with workers | trials that nobody asked for | seconds | trials |"]
    rows.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, conditions in CASES.items():
        one = simulate(conditions)
        rows.append(
            f"| {name} | {one.busy:.1%} | {one.lost:.1%} | {one.ahead:.1%} | {one.seconds:.0f} | {one.trials} |"
        )
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
