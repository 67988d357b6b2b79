"""Which examples become demonstrations and which become queries, exactly as the authors' code drew them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from icl_claims.errors import UsageError

Row = TypeVar("Row")


@dataclass(frozen=True)
class Draw:
    """Which demonstrations and queries a trial has.

    Args:
        k: number of demonstrations.
        seed: seed of the draw of demonstrations.
        permutation: number of their permutation; 0 leaves their order.
        queries: number of queries at most; None for 2000.
    """

    k: int
    seed: int = 0
    permutation: int = 0
    queries: int | None = None


EVALUATION_SEED = 1
EVALUATION_LIMIT = 2000
PERMUTATIONS_DRAWN = 5


def shuffle(rows: Sequence[Row], seed: int) -> tuple[Row, ...]:
    """`rows` in the order `numpy.random.default_rng(seed).permutation(n)`, which is what datasets 2.4.0 did."""
    return tuple(rows[i] for i in np.random.default_rng(seed).permutation(len(rows)))


def draw_demonstrations(train: Sequence[Row], k: int, seed: int) -> tuple[Row, ...]:
    """The first k rows of the shuffled training set; classes are not balanced.

    Raises:
        UsageError: k is not between 1 and the number of rows.
    """
    if not 1 <= k <= len(train):
        raise UsageError(
            "The number of demonstrations does not fit the training set",
            expected=f"k between 1 and {len(train)}",
            got=f"k={k}",
            todo="Choose a smaller ⟨k⟩.",
        )
    return shuffle(train, seed)[:k]


def draw_queries(validation: Sequence[Row], limit: int | None) -> tuple[Row, ...]:
    """The first `limit` (at most 2000) rows of the evaluation set, shuffled with seed 1.

    Raises:
        UsageError: limit is below 1.
    """
    if limit is not None and limit < 1:
        raise UsageError("There are too few ⟨queries⟩", expected="at least 1", got=str(limit))
    return shuffle(validation, EVALUATION_SEED)[: min(limit or EVALUATION_LIMIT, EVALUATION_LIMIT)]


def orders(k: int, seed: int, permutation: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The orders in which in-context learning and finetuning see k demonstrations under a permutation.

    Permutation 0 leaves them. Otherwise five permutations are drawn for in-context learning and, from the same stream,
    five more for finetuning: permutation p is number p (from 0) of each five, so the two differ.

    Raises:
        UsageError: no such permutation.
    """
    if not 0 <= permutation < PERMUTATIONS_DRAWN:
        raise UsageError(
            "The ⟨permutation⟩ is unknown", expected=f"0 to {PERMUTATIONS_DRAWN - 1}", got=str(permutation)
        )
    if permutation == 0:
        return tuple(range(k)), tuple(range(k))
    stream = np.random.RandomState(seed)
    drawn = [tuple(int(i) for i in stream.permutation(k)) for _ in range(2 * PERMUTATIONS_DRAWN)]
    return drawn[permutation], drawn[PERMUTATIONS_DRAWN + permutation]
