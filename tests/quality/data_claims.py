"""The claims that tables, logs or trials decide, run on evidence that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from icl_claims.claims import Claim, Comparison, Quantity, Verdict
from icl_claims.evidence.comparison import ALL_TASKS, AbsentEvidence, Side, TaskEvidence, direction
from tests.quality.controls import CLAIMS, load


@dataclass(frozen=True)
class DataClaim:
    """A claim's test, and one source that decides it."""

    claim: Claim
    source: str
    test: Callable[..., None]

    def __str__(self) -> str:
        return f"{self.claim.id} on {self.source}"

    def decided_on(self, evidence: Any) -> Verdict:
        """What the claim's own test says of some evidence."""
        kept: list[Verdict] = []

        def decide(found: Verdict | Comparison, *, beside: Sequence[Comparison] = ()) -> None:
            kept.append(found if isinstance(found, Verdict) else self.claim.rule.decide(found, tuple(beside)))

        self.test(evidence=evidence, decide=decide)
        (verdict,) = kept
        return verdict


@dataclass(frozen=True)
class Asked:
    """Two sides that a claim compares: the left one should be above or below the right one, or equal to it."""

    left: Quantity
    right: Side
    upwards: bool | None


@dataclass
class Recorded:
    """Evidence that keeps what it is asked, and passes on what another says."""

    evidence: TaskEvidence
    asked: list[Asked] = field(default_factory=list)

    def compare(
        self, left: Quantity, *, above: Side | None = None, below: Side | None = None, **options: Any
    ) -> Comparison:
        self.asked.append(Asked(left, *direction(above, below)))
        return self.evidence.compare(left, above=above, below=below, **options)

    def equivalent(self, left: Quantity, to: Quantity, *, within: float, tasks: Any = ALL_TASKS) -> Comparison:
        self.asked.append(Asked(left, to, None))
        return self.evidence.equivalent(left, to, within=within, tasks=tasks)


def data_claims(*sources: str) -> list[DataClaim]:
    """Every claim that one of these sources decides, once for each."""
    return [
        DataClaim(mark.args[0], source, test)
        for test, mark in _tests()
        for source in mark.kwargs["sources"]
        if source in sources
    ]


def questions_of(claim: DataClaim) -> list[Asked]:
    """All that a claim asks of a source, with what it shows beside."""
    recorded = Recorded(AbsentEvidence(claim.source, "only asked"))
    claim.decided_on(recorded)
    return recorded.asked


def sides_of(asked: Sequence[Asked]) -> Iterator[Quantity]:
    """The quantities of some questions."""
    for one in asked:
        yield from (side for side in (one.left, one.right) if isinstance(side, Quantity))


def _tests() -> Iterator[tuple[Callable[..., None], pytest.Mark]]:
    for file in sorted(CLAIMS.rglob("test_*.py")):
        for value in vars(load(file)).values():
            yield from ((value, mark) for mark in getattr(value, "pytestmark", ()) if mark.name == "claim")
