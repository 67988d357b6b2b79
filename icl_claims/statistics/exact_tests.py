"""Exact tests that a verdict quotes, and the correction for asking several questions."""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy


def sign_test(holds: int, tasks: int) -> tuple[float, float]:
    """One-sided exact sign test that a direction holds on more than half of the tasks.

    Returns:
        The p value of `holds` of `tasks`, and the smallest p that so many tasks can give.

    >>> sign_test(5, 6)
    (0.109375, 0.015625)
    """
    if not tasks:
        return 1.0, 1.0
    return float(scipy.stats.binomtest(holds, tasks, alternative="greater").pvalue), 0.5**tasks


def sign_flip_test(differences: Sequence[float]) -> tuple[float, float]:
    """One-sided exact test that the differences of tasks are above 0, over all ways of flipping their signs.

    Args:
        differences: one per task. A task whose difference is 0 or NaN does not count.

    Returns:
        The share of flips whose sum is at least the one seen, and the smallest p that so many tasks can give.

    Source: Fisher 1935, The Design of Experiments, section 21.

    >>> sign_flip_test([0.1, 0.3, 0.2])
    (0.125, 0.125)
    """
    counted = np.array([value for value in differences if value and not np.isnan(value)], dtype=float)
    if not len(counted):
        return 1.0, 1.0
    if len(counted) == 1:
        return (0.5 if counted[0] > 0 else 1.0), 0.5
    found = scipy.stats.permutation_test(
        (counted,), np.sum, permutation_type="samples", alternative="greater", n_resamples=2 ** len(counted)
    )
    return float(found.pvalue), 0.5 ** len(counted)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p values of a family of tests: the probability that any below alpha is wrong is at most alpha.

    Args:
        p_values: p values by the name of their test.

    Returns:
        Adjusted p values, by the same names in the same order: the smallest is multiplied by the number of tests, the
        next by one fewer, and none is below that of a smaller p value.

    Source: Holm 1979.

    >>> holm({"a": 0.01, "b": 0.04})
    {'a': 0.02, 'b': 0.04}
    """
    ranked = sorted(p_values, key=p_values.__getitem__)
    raised = np.array([p_values[name] for name in ranked]) * np.arange(len(ranked), 0, -1)
    adjusted = dict(zip(ranked, np.minimum(np.maximum.accumulate(raised), 1.0).tolist(), strict=True))
    return {name: adjusted[name] for name in p_values}
