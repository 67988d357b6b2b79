"""Contextual calibration: take out the label that a model prefers before it has read anything."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from icl_claims.protocol import Calibration


def predicted_labels(
    log_probabilities: Float[np.ndarray, "queries labels"],
    content_free: Float[np.ndarray, "fillers labels"],
    calibration: Calibration,
) -> Int[np.ndarray, " queries"]:
    """The label of each query.

    Args:
        log_probabilities: of each label's verbalizer.
        content_free: the same method's log-probabilities for queries without content.
        calibration: `none`, or `contextual`: each label's probability is divided by the one it has without content,
            the mean over the content-free queries of the probabilities normalised over labels.

    Source: Zhao et al. 2021, Calibrate Before Use, section 5, with W = diag(p_cf)^-1 and b = 0.
    """
    scores = log_probabilities
    if calibration == "contextual":
        scores = log_probabilities - np.log(softmax(content_free, axis=1).mean(axis=0))
    return np.asarray(scores.argmax(axis=1))
