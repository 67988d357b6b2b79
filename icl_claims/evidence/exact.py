"""Evidence of mathematics: two independent ways of computing the same thing, case by case, in float64."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from icl_claims.claims import Verdict

# Float64 rounds at 1e-16; the longest chains of operations here (hundreds of steps of descent) lose six digits of it.
_ROUNDING = 1e-9
_Array = Tensor | ArrayLike


class DisagreementError(AssertionError):
    """Two ways that should agree do not, or two that should differ agree."""


@dataclass
class ExactEvidence:
    """Counts the cases tried, and turns the first disagreement into a refutation.

    `worst` is the largest deviation so far, relative to the size of what was compared.
    """

    source: str = "exact"
    cases: int = 0
    worst: float = 0.0

    def equal(self, left: _Array, right: _Array, what: str, *, within: float = _ROUNDING) -> None:
        """Hold two independent ways of computing one thing against each other.

        The allowed deviation, `within`, is relative to the larger of the two sides' largest entries (and of 1e-6).

        Raises:
            DisagreementError: They differ by more, or in shape; its text begins with `what`.
        """
        deviation = self._deviation(left, right, what)
        self.cases += 1
        self.worst = max(self.worst, deviation)
        if not deviation <= within:
            raise DisagreementError(f"{what}: the sides differ by {deviation:.2g} of their size")

    def different(self, left: _Array, right: _Array, what: str, *, by: float = 1e-6) -> None:
        """Show that two things are not the same: that they differ by more than a relative deviation.

        Raises:
            DisagreementError: They agree; its text begins with `what`.
        """
        deviation = self._deviation(left, right, what)
        self.cases += 1
        if not deviation > by:
            raise DisagreementError(f"{what}: the sides differ by only {deviation:.2g} of their size")

    def check(self, holds: bool, what: str) -> None:
        """Count one case of a property that either holds or does not.

        Raises:
            DisagreementError: It does not hold.
        """
        self.cases += 1
        if not holds:
            raise DisagreementError(f"{what}: does not hold")

    def every(self, *properties: Callable[[], None]) -> Verdict:
        """The verdict of running every property (usually a hypothesis test over many cases): refuted by the first case.

        It says the number of cases and the largest deviation, or the first disagreement.
        """
        try:
            for holds in properties:
                holds()
        except DisagreementError as disagreement:
            return Verdict("refuted", f"A case fails: {disagreement}.", cases=self.cases)
        why = f"Holds in {self.cases} cases; the largest relative deviation is {self.worst:.1g}."
        return Verdict("supported", why, cases=self.cases)

    @staticmethod
    def _deviation(left: _Array, right: _Array, what: str) -> float:
        a, b = (
            np.asarray(side.detach().cpu().numpy() if isinstance(side, torch.Tensor) else side, dtype=float)
            for side in (left, right)
        )
        if a.shape != b.shape:
            raise DisagreementError(f"{what}: the sides have shapes {a.shape} and {b.shape}")
        size = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0), 1e-6)
        return float(np.abs(a - b).max(initial=0.0) / size)
