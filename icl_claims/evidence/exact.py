"""Evidence of mathematics: two independent ways of computing the same thing, case by case, in float64."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import SystemRandom
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as with_seed
from numpy.typing import ArrayLike
from torch import Tensor

from icl_claims.claims import Verdict

# Float64 rounds at 1e-16; the longest chains of operations here (hundreds of steps of descent) lose six digits of it.
_ROUNDING = 1e-9
_NOTHING = 1e-15  # a difference of numbers of size 1 that is rounding, however small what it is compared with
_Array = Tensor | ArrayLike

PROFILE = "icl_claims"
# A slow machine refutes nothing, and a verdict follows from code and seed, not from a folder of earlier failures.
_IN_EVERY_PROFILE: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "print_blob": False,
    "report_multiple_bugs": False,
}
settings.register_profile(
    PROFILE,
    settings.get_profile("default"),
    max_examples=50,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    **_IN_EVERY_PROFILE,
)


class DisagreementError(AssertionError):
    """Two ways that should agree do not, or two that should differ agree."""


@dataclass
class ExactEvidence:
    """Counts the cases tried, and turns the first disagreement into a refutation.

    `worst` is the largest deviation so far, relative to the size of what was compared. `seed` is that of the examples
    that properties are tried on, None if they follow from the properties; `again` is the command that decides the claim
    again, but for the seed.
    """

    source: str = "exact"
    cases: int = 0
    worst: float = 0.0
    seed: str | None = None
    again: str = ""
    _apart: dict[str, list[bool]] = field(default_factory=dict, repr=False)

    def equal(self, left: _Array, right: _Array, what: str, *, within: float = _ROUNDING) -> None:
        """Hold two independent ways of computing one thing against each other.

        The allowed deviation, `within`, is relative to the larger of the two sides' largest entries; 1e-15 is none.

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

        Two things that differ in general come as near to each other as one likes in some case (an angle that is almost
        0, a step that is almost none), so this is asked of most of the cases that a property is tried on: `every`
        refutes where half of them or more agree.

        Raises:
            DisagreementError: They are not of one shape; its text begins with `what`.
        """
        deviation = self._deviation(left, right, what)
        self.cases += 1
        self._apart.setdefault(what, []).append(deviation > by)

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

        It says the number of cases and the largest deviation, or the first disagreement, the simplest example of it and
        how to see it again. Properties run on one thread.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the tensors are far too small for two
        try:
            for holds in properties:
                self._run(holds)
        except DisagreementError as disagreement:
            return Verdict("refuted", f"A case fails: {disagreement}.{self._example(disagreement)}", cases=self.cases)
        finally:
            torch.set_num_threads(threads)
        why = f"Holds in {self.cases} cases; the largest relative deviation is {self.worst:.1g}."
        return Verdict("supported", why, cases=self.cases)

    def _run(self, holds: Callable[[], None]) -> None:
        self._apart.clear()
        seeded = self.seed is not None and hasattr(holds, "hypothesis")
        (with_seed(self.seed)(holds) if seeded else holds)()
        for what, differ in self._apart.items():
            if 2 * sum(differ) <= len(differ):
                raise DisagreementError(f"{what}: the sides differ in only {sum(differ)} of {len(differ)} cases")

    def _example(self, disagreement: DisagreementError) -> str:
        """The drawn values of the failing example, shortened, and the command that tries it again."""
        drawn = next((note.partition(": ")[2] for note in getattr(disagreement, "__notes__", ())), "")
        drawn = re.sub(r",?\s*(?=\))|(?<=\()\s+|(?<=\s)\s+", "", drawn.strip())
        drawn = re.sub(r"(tensor|array)\(([^)]{60})[^)]*\)", r"\1(\2 ...)", drawn)
        told = f" Example: {shorten(drawn, 600, placeholder=' ...')}." if drawn else ""
        seed = "" if self.seed is None else f" --hypothesis-seed={self.seed}"
        return told + (f" See it again: {self.again}{seed}" if self.again else "")

    @staticmethod
    def _deviation(left: _Array, right: _Array, what: str) -> float:
        a, b = (
            np.asarray(side.detach().cpu().numpy() if isinstance(side, torch.Tensor) else side, dtype=float)
            for side in (left, right)
        )
        if a.shape != b.shape:
            raise DisagreementError(f"{what}: the sides have shapes {a.shape} and {b.shape}")
        gap, size = np.abs(a - b).max(initial=0.0), max(np.abs(side).max(initial=0.0) for side in (a, b))
        return 0.0 if gap <= _NOTHING else float(gap / size)


@contextmanager
def exact_evidence(*, chosen: bool = False, seed: str | None = None, again: str = "") -> Iterator[ExactEvidence]:
    """Evidence; until it is closed, properties that are declared are tried on 50 examples, the same in every run.

    Args:
        chosen: Whether the profile of Hypothesis that is loaded says how many examples are tried, and whether they are
            the same in every run.
        seed: Seed of the examples, which are others with each; None if they follow from the profile.
        again: The command that decides the claim again, but for the seed.
    """
    before = settings()
    profile = before if chosen else settings.get_profile(PROFILE)
    if seed is None and not profile.derandomize:
        seed = str(SystemRandom().randrange(2**32))
    phases = [phase for phase in profile.phases if phase is not Phase.explain]
    unchecked = [*profile.suppress_health_check, HealthCheck.too_slow]
    try:
        _load("of a claim", profile, phases=phases, suppress_health_check=unchecked, **_IN_EVERY_PROFILE)
        yield ExactEvidence(seed=seed, again=again)
    finally:
        _load("before a claim", before)


def _load(name: str, parent: settings, **changes: Any) -> None:
    settings.register_profile(name, parent, **changes)
    settings.load_profile(name)
