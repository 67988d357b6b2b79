"""What happened to predictions: accuracy, changes, Rec2FTP and RPA, each as the mean of one value a query.

Every function gives one value a query: 1.0, 0.0, or NaN where the query does not count. The metric is the mean over
the queries that count, so that any interval or test can be had from the same column.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

Labels = Int[np.ndarray, " queries"]
PerQuery = Float[np.ndarray, " queries"]
Changes = Literal["all", "correct", "incorrect"]
"""Which changes count: all, those to the correct label, or those to an incorrect one."""
Agreement = Literal["same_label", "changed"]
"""When two changes agree: when both gave the same new label (the authors' code), or when both changed (their words)."""


def _where(counted: Bool[np.ndarray, " queries"], value: Bool[np.ndarray, " queries"]) -> PerQuery:
    return np.where(counted, value.astype(float), np.nan)


def accuracy(predicted: Labels, gold: Labels) -> PerQuery:
    """Whether each prediction is right."""
    return np.asarray(predicted == gold, dtype=float)


def changed(predicted: Labels, zero_shot: Labels) -> PerQuery:
    """Whether each prediction differs from the zero-shot one."""
    return np.asarray(predicted != zero_shot, dtype=float)


def rec2ftp(in_context: Labels, finetuned: Labels, zero_shot: Labels, gold: Labels) -> PerQuery:
    """Of the queries that finetuning corrects, those that in-context learning answers right too.

    Rec2FTP = |(C_ICL & C_FT) - C_ZSL| / |C_FT - C_ZSL|; undefined (all NaN) when finetuning corrects nothing.

    Source: "Understanding ...", section 3.3, Prediction Recall.
    """
    corrected = (finetuned == gold) & (zero_shot != gold)
    return _where(corrected, in_context == gold)


def rpa(
    in_context: Labels,
    finetuned: Labels,
    zero_shot: Labels,
    gold: Labels,
    *,
    only: Changes = "all",
    agreement: Agreement = "same_label",
) -> PerQuery:
    """Relative prediction alignment: of the queries that either method changes, those that both change.

    RPA = |D_ICL & D_FT| / |D_ICL | D_FT|; undefined (all NaN) when neither changes anything.

    Args:
        in_context: labels predicted with demonstrations in context.
        finetuned: labels predicted after finetuning on the same demonstrations.
        zero_shot: labels predicted without any.
        gold: the true labels.
        only: count all changes, those to the correct label, or those to an incorrect one.
        agreement: whether a change is shared only when both methods give the same new label.

    Source: "Rethinking ...", section 3.3, RPA, RPA - Correct and RPA - Incorrect (table 1).
    """
    by_context, by_finetuning = in_context != zero_shot, finetuned != zero_shot
    if only != "all":
        wanted = only == "correct"
        by_context &= (in_context == gold) == wanted
        by_finetuning &= (finetuned == gold) == wanted
    shared = by_context & by_finetuning
    if agreement == "same_label":
        shared &= in_context == finetuned
    return _where(by_context | by_finetuning, shared)


def most_frequent_label(predicted: Labels) -> PerQuery:
    """Whether each prediction is the label that is predicted most; the mean is 1 where a method knows one label."""
    return accuracy(predicted, np.full_like(predicted, np.bincount(predicted).argmax()))


def spread(predicted: Int[np.ndarray, "orders queries"]) -> PerQuery:
    """How often two different orders of the demonstrations give a query different labels.

    Raises:
        ValueError: fewer than two orders.
    """
    orders = len(predicted)
    if orders < 2:
        raise ValueError(f"a spread needs two orders, got {orders}")
    counts = np.stack([(predicted == label).sum(axis=0) for label in np.unique(predicted)])
    return np.asarray(1 - (counts * (counts - 1)).sum(axis=0) / (orders * (orders - 1)))
