"""Exact tests that a verdict quotes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy import stats


def sign_test(holds: int, tasks: int) -> tuple[float, float]:
    """One-sided exact sign test that a direction holds on more than half of the tasks.

    Returns:
        The p value of `holds` of `tasks`, and the smallest p that so many tasks can give.
    """
    if not tasks:
        return 1.0, 1.0
    return float(stats.binomtest(holds, tasks, alternative="greater").pvalue), 0.5**tasks


def sign_flip_test(differences: Sequence[float]) -> tuple[float, float]:
    """One-sided exact test that differences are above 0, over all ways of flipping their signs.

    Returns:
        The share of flips whose sum is at least the one seen, and the smallest p that so many differences can give.
    """
    seen = np.asarray(differences, dtype=float)
    flips = np.array(list(product((1.0, -1.0), repeat=len(seen)))) @ seen
    return float(np.mean(flips >= seen.sum() - 1e-12)), 0.5 ** len(seen)


def beats_chance(correct: int, answered: int, chance: float) -> float:
    """One-sided exact binomial p value that accuracy exceeds chance."""
    return float(stats.binomtest(correct, answered, chance, alternative="greater").pvalue)
