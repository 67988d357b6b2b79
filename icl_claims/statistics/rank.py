"""Whether two methods put things in the same order."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def kendall_tau(
    left: Float[np.ndarray, "*rows items"], right: Float[np.ndarray, "*rows items"]
) -> Float[np.ndarray, "*rows"]:
    """Kendall's tau-b of the items of each row, the order in one array against that in the other.

    Args:
        left: a number for each item; larger ones rank higher, equal ones are tied.
        right: the other numbers of the same items.

    Returns:
        The correlation of each row, in [-1, 1]; NaN if all items of a row are tied on one side, or one is NaN.

    Source: Kendall 1945 (tau-b); `scipy.stats.kendalltau` for one row at a time.

    >>> kendall_tau(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 3.0, 2.0]])).round(2).tolist()
    [0.33]
    """
    agree, pairs_left, pairs_right = (np.zeros(left.shape[:-1]) for _ in range(3))
    for apart in range(1, left.shape[-1]):
        a, b = (np.sign(values[..., apart:] - values[..., :-apart]) for values in (left, right))
        agree += (a * b).sum(axis=-1)
        pairs_left += (a * a).sum(axis=-1)
        pairs_right += (b * b).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(agree / np.sqrt(pairs_left * pairs_right))
