"""Evidence as it comes in, draw of demonstrations by draw, and what a rule says of it at every look.

A task's replicate is the mean of sixteen queries. Its scale is the standard error that these queries leave; `ratio` is
the standard deviation of the draw's own effect in that unit. What is known at each look is kept as running sums, the
same for all repetitions at once: `test_power.py` holds it equal to what `Numbers` and `TaskRule.decide` say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom
from scipy.stats import t as student

from icl_claims.statistics.sequential import critical_t

TASKS, QUERIES, SHARED, MOST = 6, 16, 0.6, 40
LOOKS = np.arange(2, MOST + 1)


@dataclass(frozen=True)
class Looked:
    """Means and standard errors, [repetitions, tasks, looks] each, where all true means are 0."""

    means: np.ndarray
    errors: np.ndarray
    known: np.ndarray
    query_errors: np.ndarray | float = 0.0
    queries: int = 0

    @classmethod
    def at(cls, drawn, *, same_queries=False, most=MOST):
        """Those of columns [repetitions, tasks, queries], one for each draw of demonstrations."""
        total, squares, columns, low, high = 0.0, 0.0, 0.0, np.inf, -np.inf
        found = []
        for number, column in zip(range(1, most + 1), drawn, strict=False):
            values = column.mean(axis=-1)
            total, squares, columns = total + values, squares + values**2, columns + column
            low, high = np.minimum(low, values), np.maximum(high, values)
            if number > 1:
                variance = np.maximum(squares - total**2 / number, 0.0) / (number - 1)
                of_queries = (columns / number).std(axis=-1, ddof=1) if same_queries else 0.0
                found.append((total / number, np.sqrt(variance / number), high - low > 1e-9, of_queries))
        means, errors, known, of_queries = (np.stack(of, axis=-1) for of in zip(*found, strict=True))
        if not same_queries:
            return cls(means, errors, known)
        return cls(means, errors, known, of_queries / np.sqrt(column.shape[-1]), column.shape[-1])

    @property
    def turned(self):
        return Looked(-self.means, self.errors, self.known, self.query_errors, self.queries)

    def half_width(self, error, critical=critical_t):
        """By how much the means may be off, but for this error; `critical` gives it in standard errors."""
        with np.errstate(invalid="ignore"):
            of_draws = np.array([critical(n, error) for n in LOOKS[: self.means.shape[-1]]]) * self.errors
        of_draws = np.where(self.known, of_draws, np.inf)
        of_queries = critical(self.queries, error) * self.query_errors if self.queries else 0.0
        return np.hypot(of_draws, of_queries)


def by_student(replicates, error):
    """What an interval allows that is right at one look fixed beforehand."""
    return float(student.isf(error, replicates - 1))


@dataclass(frozen=True)
class Stopped:
    """Whether a verdict was given at or before each look, [repetitions, looks]; the first one stands."""

    supported: np.ndarray
    refuted: np.ndarray

    def at(self, replicates):
        """How often it was supported, and refuted, with so many replicates at most."""
        return tuple(float(of[:, replicates - LOOKS[0]].mean()) for of in (self.supported, self.refuted))


def words(looked, effects, rule, *, errors=None, critical=critical_t, first=2):
    """What a rule says that is asked after every further replicate, from the first look on, and stopped once it speaks.

    Args:
        effects: the true mean of every task.
        errors: those of single tasks; by default the rule's own.
        critical: see `Looked.half_width`.
        first: replicates at the first look.
    """
    errors = rule.errors if errors is None else errors
    means = looked.means + np.asarray(effects)[:, None]
    holds = (means > looked.half_width(errors.holds, critical)).sum(axis=1) >= rule.at_least
    fails = (means < -looked.half_width(errors.fails, critical)).sum(axis=1) >= rule.of - rule.at_least + 1
    looked_at = (LOOKS[: means.shape[-1]] >= first) & (holds | fails)
    where = np.where(looked_at.any(axis=1), looked_at.argmax(axis=1), LOOKS[-1])
    reached = np.arange(means.shape[-1]) >= where[:, None]
    said = [np.take_along_axis(of, np.minimum(where, of.shape[1] - 1)[:, None], axis=1) for of in (holds, fails)]
    return Stopped(*(reached & of for of in said))


def rarely(share, repetitions):
    """The largest share of so many repetitions that is no surprise (once in a thousand) where so many are allowed."""
    return float(binom.isf(0.001, repetitions, share)) / repetitions


# Columns of queries, draw by draw


def normal(generator, repetitions, ratio, *, crossed=False, alike=False):
    """Normal ones, of queries of every draw's own; or of the same queries, which keep a share of what they are.

    Args:
        ratio: standard deviation of the draw's effect over the standard error by queries of a draw's mean.
        crossed: whether all draws ask the same queries.
        alike: whether all tasks are one.
    """
    shape = (repetitions, 1 if alike else TASKS, QUERIES)
    scale = np.sqrt(QUERIES)
    kept = np.sqrt(SHARED) * generator.standard_normal(shape) if crossed else 0.0
    while True:
        own = generator.standard_normal(shape) * (np.sqrt(1 - SHARED) if crossed else 1.0)
        column = ratio * generator.standard_normal((*shape[:2], 1)) + scale * (kept + own)
        yield np.broadcast_to(column, (repetitions, TASKS, QUERIES))


def skewed(generator, repetitions):
    """Centred gamma numbers of shape 4, whose skewness is 1 and variance 1; one for a draw."""
    while True:
        yield (generator.gamma(4.0, size=(repetitions, TASKS, 1)) - 4.0) / 2.0


def right_answers(generator, repetitions, share=0.9):
    """Shares of sixteen answers that are right, less how often they truly are; one for a draw."""
    while True:
        yield generator.binomial(QUERIES, share, size=(repetitions, TASKS, 1)) / QUERIES - share
