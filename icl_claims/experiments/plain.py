"""Arrays as plain lists for JSON, which knows no NaN."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np


def mean_over_rows(values: np.ndarray) -> np.ndarray:
    """The mean of each column over the rows that count; NaN where none does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=0))


def rounded(values: np.ndarray, places: int) -> Any:
    """Nested lists of rounded numbers, None for what is not a number."""
    plain = np.round(values.astype(float), places).astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()
