"""What a source says about two sides of a comparison, and how a word follows from it."""

from dataclasses import dataclass, replace

import numpy as np

from icl_claims.claims import Finding, Outcome
from icl_claims.errors import ClaimError
from icl_claims.questions import Compared, Near, NotAbove, TwoSided
from icl_claims.statistics.error_rates import Errors
from icl_claims.statistics.estimates import Estimate
from icl_claims.statistics.intervals import UNDEFINED, Interval
from icl_claims.statistics.replicates import Replicates

SEQUENCE, STUDENT, BINOMIAL, ROUNDING = (
    "confidence sequence over draws",
    "Student's over draws",
    "binomial",
    "rounding",
)
Range = tuple[float, float]
ANY_NUMBER: Range = (-np.inf, np.inf)


@dataclass(frozen=True)
class Judged:
    """What numbers say to a question: how sure each word is, what it was read from, and in what unit."""

    holds: float | None
    fails: float | None
    interval: Interval
    difference: Estimate


def judge(question: TwoSided, numbers: Replicates, errors: Errors) -> Judged:
    """What replicates say to a question.

    "Above" asks whether the mean difference is above 0; "as large as" whether it is within the margin, by two one-sided
    tests, and against it whether it lies beyond one of both ends; "not above" for less than the margin, and against it
    for more than 0. A margin is a share of the other side's mean, and so as uncertain as that: L - R - share R is one
    contrast.

    Sources: Schuirmann 1987 (two one-sided tests); Morikawa and Yoshida 1995 (not above).
    """
    difference = numbers.contrast()
    interval = difference.interval(errors.holds, errors.holds)
    if isinstance(question, Compared):
        up, down = difference.p_above(), difference.p_below()
        holds, fails, sides = (up, down, (errors.holds, errors.fails))
        if not question.upwards:
            holds, fails, sides = down, up, (errors.fails, errors.holds)
        return Judged(holds, fails, difference.interval(*sides), difference)
    share = question.within if isinstance(question, Near | NotAbove) else 0.0
    size = share if numbers.means[1] >= 0 else -share
    above, below = numbers.contrast(1.0, -1.0 - size), numbers.contrast(1.0, -1.0 + size)
    if isinstance(question, NotAbove):
        interval = difference.interval(errors.fails, errors.holds)
        return Judged(above.p_below(), difference.p_above(), interval, difference)
    within, beyond = (above.p_below(), below.p_above()), (above.p_above(), below.p_below())
    holds = None if None in within else max(p for p in within if p is not None)
    fails = None if None in beyond else min(1.0, 2 * min(p for p in beyond if p is not None))
    return Judged(holds, fails, interval, difference)


@dataclass(frozen=True)
class Numbers:
    """What a source says about two sides of a comparison on one task, or on all of them.

    Args:
        task: Name of the task, or `EVERY_TASK`.
        replicates: A number for each draw of demonstrations and side; None where there are none, and `interval` says
            what the difference can be.
        kind: What kind of interval that is.
        queries: How many queries it rests on.
        note: What is always said.
        unclear: What is said if the interval does not decide.
        absent: Why there is no evidence; empty if there is.
        undecided: Whether the task cannot decide, whatever its interval.
    """

    task: str
    left: float = np.nan
    right: float = np.nan
    replicates: Replicates | None = None
    interval: Interval = UNDEFINED
    kind: str = ""
    queries: int = 0
    note: str = ""
    unclear: str = ""
    absent: str = ""
    undecided: bool = False

    def finding(self, question: TwoSided, errors: Errors) -> Finding:
        """What they say to a question, where each word may be wrong so often."""
        if self.absent:
            return Finding(self.task, "absent", note=self.absent)
        if self.replicates is None:
            outcome: Outcome = "unclear" if self.undecided else self._by_interval(question)
            found = Finding(self.task, outcome, _finite(self.left), _finite(self.right))
            return self._with_interval(found, self.interval)
        judged = judge(question, self.replicates, errors)
        holds, fails = (None, None) if self.undecided else (judged.holds, judged.fails)
        outcome = "unclear"
        if holds is not None and holds <= errors.holds:
            outcome = "holds"
        elif fails is not None and fails <= errors.fails:
            outcome = "fails"
        wanting, estimate = outcome == "unclear" and not self.undecided, judged.difference
        least = min(errors.holds, errors.fails)
        next_one = self.replicates.next_one()
        found = Finding(
            self.task,
            outcome,
            _finite(self.left),
            _finite(self.right),
            replicates=estimate.replicates,
            p_holds=holds,
            p_fails=fails,
            needed=estimate.needed(least) if wanting and isinstance(question, Compared) else None,
            detectable=estimate.detectable(least),
            predicted_low=_finite(next_one.low),
            predicted_high=_finite(next_one.high),
        )
        return self._with_interval(
            found, judged.interval, too_few=wanting and estimate.known and not np.isfinite(estimate.half_width(least))
        )

    def beyond(self, null: "Numbers") -> "Numbers":
        """This difference as one side, and that of noise as the other."""
        if self.undecided and self.replicates is None:
            return self
        if self.absent or null.absent or self.replicates is None or null.replicates is None:
            return replace(self, absent=self.absent or null.absent or "noise was not measured")
        both = self.replicates.beyond(null.replicates)
        left, right = both.means
        undecided, note = self.undecided or null.undecided, self.note or null.note
        return replace(self, left=left, right=right, replicates=both, note=note, undecided=undecided)

    def _with_interval(self, found: Finding, interval: Interval, *, too_few: bool = False) -> Finding:
        least, most = ANY_NUMBER if self.replicates is None else self.replicates.bounds
        low, high = max(interval.low, least), min(interval.high, most)
        note = self.note
        if found.outcome == "unclear" and not self.undecided and not note:
            note = f"{found.replicates} draws are too few to tell anything" if too_few else self.unclear
        bounded = np.isfinite(interval.low) and np.isfinite(interval.high)
        return replace(
            found,
            difference=_finite(interval.estimate),
            low=_finite(low) if bounded else None,
            high=_finite(high) if bounded else None,
            interval_kind=self.kind if bounded else "",
            queries=self.queries,
            note=note,
        )

    def _by_interval(self, question: TwoSided) -> Outcome:
        """Whether the whole interval lies on the side, or within the margin, that the question asks for."""
        higher, lower = self.interval.excludes_below(0.0), self.interval.excludes_above(0.0)
        match question:
            case Near(within=share):
                margin = share * abs(self.right)
                if self.interval.excludes_below(-margin) and self.interval.excludes_above(margin):
                    return "holds"
                beyond = self.interval.excludes_below(margin) or self.interval.excludes_above(-margin)
                return "fails" if beyond else "unclear"
            case NotAbove(within=share):
                within = self.interval.excludes_above(share * abs(self.right))
                return "fails" if higher else "holds" if within else "unclear"
            case Compared(upwards=upwards):
                return "unclear" if not (higher or lower) else "holds" if higher == upwards else "fails"
        raise ClaimError("Unknown kind of question", got=type(question).__name__)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
