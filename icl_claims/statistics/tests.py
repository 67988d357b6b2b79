"""Exact tests that a verdict quotes."""

from __future__ import annotations

from scipy import stats


def sign_test(holds: int, tasks: int) -> tuple[float, float]:
    """One-sided exact sign test that a direction holds on more than half of the tasks.

    Returns:
        The p value of `holds` of `tasks`, and the smallest p that so many tasks can give.
    """
    if not tasks:
        return 1.0, 1.0
    return float(stats.binomtest(holds, tasks, alternative="greater").pvalue), 0.5**tasks


def beats_chance(correct: int, answered: int, chance: float) -> float:
    """One-sided exact binomial p value that accuracy exceeds chance."""
    return float(stats.binomtest(correct, answered, chance, alternative="greater").pvalue)
