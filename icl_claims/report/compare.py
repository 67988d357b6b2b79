"""What changed between two runs: verdicts, effects beyond their intervals, claims added or gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from icl_claims.claims import EVERY_TASK
from icl_claims.report import Record
from icl_claims.report.document import Document
from icl_claims.report.order import key_of, section_of


@dataclass(frozen=True)
class Compared:
    """A record's claim, source and condition, by which two runs are compared."""

    paper: str
    id: str
    source: str
    profile: str
    condition: str
    where: str
    statement: str

    @property
    def section(self) -> str:
        """The part of the paper where it stands."""
        return section_of(self.where)


@dataclass(frozen=True)
class VerdictChange:
    """A verdict that is another word now."""

    claim: Compared
    old: str
    new: str
    why: str


@dataclass(frozen=True)
class Effect:
    """A difference and its interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class EffectChange:
    """A difference, on one task or pooled over all, whose two intervals have no value in common."""

    claim: Compared
    task: str
    old: Effect
    new: Effect


@dataclass(frozen=True)
class RunComparison:
    """An old run beside a new one.

    Args:
        old: Facts of the old run.
        new: Facts of the new run.
        verdicts: Verdicts that changed.
        effects: Effects that changed beyond their intervals.
        added: Claims that only the new run has.
        gone: Claims that only the old run has.
        same: How many records have the same verdict in both.
    """

    old: dict[str, Any]
    new: dict[str, Any]
    verdicts: tuple[VerdictChange, ...]
    effects: tuple[EffectChange, ...]
    added: tuple[Compared, ...]
    gone: tuple[Compared, ...]
    same: int

    @property
    def verdict_changed(self) -> bool:
        """Whether any verdict is another word now."""
        return bool(self.verdicts)

    def as_plain_data(self) -> dict[str, Any]:
        """All of it as JSON can say it."""
        return asdict(self) | {"verdict_changed": self.verdict_changed}


def compare_runs(old: Document, new: Document) -> RunComparison:
    """Compare two documents record by record: the same claim, source, profile and condition.

    A difference changed beyond its interval where the old and the new interval have no value in common.
    """
    before, after = ({key_of(claim): claim for claim in document["claims"]} for document in (old, new))
    both = [(before[key], claim) for key, claim in after.items() if key in before]
    return RunComparison(
        old=old["run"],
        new=new["run"],
        verdicts=tuple(
            VerdictChange(_compared(now), then["verdict"], now["verdict"], now["why"])
            for then, now in both
            if then["verdict"] != now["verdict"]
        ),
        effects=tuple(change for then, now in both for change in _effect_changes(then, now)),
        added=tuple(_compared(claim) for key, claim in after.items() if key not in before),
        gone=tuple(_compared(claim) for key, claim in before.items() if key not in after),
        same=sum(then["verdict"] == now["verdict"] for then, now in both),
    )


def _compared(claim: Record) -> Compared:
    return Compared(**{name: claim[name] for name in Compared.__dataclass_fields__})


def _effect_changes(then: Record, now: Record) -> Iterator[EffectChange]:
    old, new = _effects(then), _effects(now)
    for task in new:
        if task in old and (old[task].high < new[task].low or new[task].high < old[task].low):
            yield EffectChange(_compared(now), task, old[task], new[task])


def _effects(claim: Record) -> dict[str, Effect]:
    """The differences of a record that have an interval, by task; over all of them last."""
    found = {
        finding["task"]: Effect(finding["difference"], finding["low"], finding["high"])
        for finding in claim["tasks"]
        if None not in (finding["difference"], finding["low"], finding["high"])
    }
    if claim["effect"] and None not in claim["effect"].values():
        found[EVERY_TASK] = Effect(claim["effect"]["estimate"], claim["effect"]["low"], claim["effect"]["high"])
    return found
