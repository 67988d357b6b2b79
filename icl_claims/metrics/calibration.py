"""Contextual calibration: take out the label that a model prefers before it has read anything."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

Calibration = Literal["none", "contextual"]


def predicted_labels(
    log_probabilities: Float[np.ndarray, "queries labels"],
    content_free: Float[np.ndarray, " labels"],
    calibration: Calibration,
) -> Int[np.ndarray, " queries"]:
    """The label of each query.

    Args:
        log_probabilities: of each label's verbalizer.
        content_free: the same method's log-probabilities for a query without content.
        calibration: `none`, or `contextual`: each label's probability is divided by its content-free one.

    Source: Zhao et al. 2021, Calibrate Before Use, with W = diag(p_cf)^-1 and b = 0.
    """
    scores = log_probabilities - content_free if calibration == "contextual" else log_probabilities
    return np.asarray(scores.argmax(axis=1))
