"""The cases that claims about predictions are tried on, which need no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st


@dataclass(frozen=True, eq=False)
class Predictions:
    """Labels that three settings predict for the same queries, and the true ones."""

    in_context: np.ndarray
    finetuned: np.ndarray
    zero_shot: np.ndarray
    gold: np.ndarray
    labels: int


@st.composite
def predictions(draw: st.DrawFn, *, least_labels: int = 2, most_labels: int = 5) -> Predictions:
    """Predictions of any quality, for any number of queries, with all label counts of the six tasks."""
    labels, queries = draw(st.integers(least_labels, most_labels)), draw(st.integers(1, 12))
    column = st.lists(st.integers(0, labels - 1), min_size=queries, max_size=queries).map(np.array)
    in_context, finetuned, zero_shot, gold = (draw(column) for _ in range(4))
    return Predictions(in_context, finetuned, zero_shot, gold, labels)
