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
        word: Verdict.
        why: One sentence, or a few.
        comparison: What it was read from, where it is about tasks.
        cases: How many cases were tried, where it is about cases.
        beside: Comparisons that do not decide: other nulls, other readings of the claim, controls.
        would_change: What would change the verdict.
        plain_numbers: What the differences say whatever their intervals, with tests of them over tasks.
    """

    word: Word
    why: str
    comparison: Comparison | None = None
    cases: int = 0
    beside: tuple[Comparison, ...] = ()
    would_change: str = ""
    plain_numbers: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What every task says."""
        return () if self.comparison is None else self.comparison.findings
