"""The word that a claim gets, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from icl_claims.claims.comparison import Comparison, Finding

Word = Literal["supported", "refuted", "inconclusive", "not run"]


@dataclass(frozen=True)
class Verdict:
    """What the evidence says about a claim, and why, in a sentence made from the numbers.

    Args:
        word: the verdict.
        why: one sentence, or a few.
        comparison: what it was read from, where it is about tasks.
        cases: how many cases were tried, where it is about cases.
        beside: comparisons that do not decide: other nulls, other readings of the claim, controls.
        would_change: what would change the verdict.
    """

    word: Word
    why: str
    comparison: Comparison | None = None
    cases: int = 0
    beside: tuple[Comparison, ...] = ()
    would_change: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What every task says."""
        return () if self.comparison is None else self.comparison.findings
