"""Metrics of predictions: accuracy, changes, Rec2FTP and RPA, each as the mean of values by query.

Every function gives one value a query, and RPA one value a change, of which a query can have two: 1.0, 0.0, or NaN
where it does not count. The metric is the mean over the values that count, so that any interval or test can be had
from the same column.
"""

from typing import Literal

import numpy as np
import scipy
from jaxtyping import Float, Int

from icl_claims.metrics.metric import Arguments, Predicted, PredictionMetric, metric, variant
from icl_claims.protocol import Agreement, Calibration

Labels = Int[np.ndarray, " queries"]
PerQuery = Float[np.ndarray, " queries"]
Changes = Literal["all", "correct", "incorrect"]
"""Which changes count: all, those to the correct label, or those to an incorrect one."""


def _three(found: Predicted) -> Arguments:
    return {"in_context": found.reference, "finetuned": found.answered, "zero_shot": found.zero_shot}


@metric(
    PredictionMetric,
    bounds=(0.0, 1.0),
    title="accuracy",
    definition="The share of queries that are answered right.",
    takes=lambda found: {"predicted": found.answered, "gold": found.gold},
    percent=True,
    of_prompted=True,
)
def accuracy(predicted: Labels, gold: Labels) -> PerQuery:
    """Whether each prediction is right."""
    return np.asarray(predicted == gold, dtype=float)


@metric(
    PredictionMetric,
    bounds=(0.0, 1.0),
    title="share of changed predictions",
    definition="The share of queries whose prediction differs from the zero-shot one.",
    takes=lambda found: {"predicted": found.answered, "zero_shot": found.zero_shot},
    of_prompted=True,
)
def changed(predicted: Labels, zero_shot: Labels) -> PerQuery:
    """Whether each prediction differs from the zero-shot one."""
    return np.asarray(predicted != zero_shot, dtype=float)


@metric(
    PredictionMetric,
    bounds=(0.0, 1.0),
    title="Rec2FTP",
    definition="C are the queries answered right: of those that finetuning corrects, the share that in-context "
    "learning answers right.",
    formula=r"\frac{|(C_\text{ICL} \cap C_\text{FT}) \smallsetminus C_\text{ZSL}|}"
    r"{|C_\text{FT} \smallsetminus C_\text{ZSL}|}",
    source="Revisited, section 3.3",
    takes=lambda found: {**_three(found), "gold": found.gold},
    percent=True,
)
def rec2ftp(in_context: Labels, finetuned: Labels, zero_shot: Labels, gold: Labels) -> PerQuery:
    """Of the queries that finetuning corrects, those that in-context learning answers right too.

    Rec2FTP = |(C_ICL & C_FT) - C_ZSL| / |C_FT - C_ZSL|; undefined (all NaN) when finetuning corrects nothing.
    """
    corrected = (finetuned == gold) & (zero_shot != gold)
    return np.where(corrected, (in_context == gold).astype(float), np.nan)


@metric(
    PredictionMetric,
    bounds=(0.0, 1.0),
    title="RPA",
    definition="Relative prediction alignment. D are the changes that a method makes, each a query with its new label: "
    "of those that either method makes, the share that both make.",
    formula=r"\frac{|D_\text{ICL} \cap D_\text{FT}|}{|D_\text{ICL} \cup D_\text{FT}|}",
    source="Rethinking, section 3.3",
    takes=lambda found: {**_three(found), "gold": found.gold, "agreement": found.agreement},
    percent=True,
)
def rpa(
    in_context: Labels,
    finetuned: Labels,
    zero_shot: Labels,
    gold: Labels,
    *,
    only: Changes = "all",
    agreement: Agreement = "same_label",
) -> Float[np.ndarray, "queries 2"]:
    """Relative prediction alignment: of the changes that either method makes, those that both make.

    RPA = |D_ICL & D_FT| / |D_ICL | D_FT| = same / (changed_ICL + changed_FT - same); undefined (all NaN) when neither
    changes anything. In the authors' code a change is a query with its new label, so that a query that the two methods
    change to different labels is two changes, neither of them shared; with two labels that cannot be. In the words of
    the paper it is a query.

    Args:
        in_context: labels predicted with demonstrations in context.
        finetuned: labels predicted after finetuning on the same demonstrations.
        zero_shot: labels predicted without any.
        gold: the true labels.
        only: which changes count.
        agreement: whether a change is shared only when both methods give the same new label.

    Returns:
        1 for a shared change, 0 for a change of one method, NaN elsewhere. The first column has one for every query
        that either method changes, the second has the other change of a query that they change to different labels.

    Source: "Rethinking ...", section 3.3, RPA, RPA - Correct and RPA - Incorrect (table 1); the count is that of the
    authors' repository, "same change recall to all changed".
    """
    by_context, by_finetuning = in_context != zero_shot, finetuned != zero_shot
    if only != "all":
        wanted = only == "correct"
        by_context &= (in_context == gold) == wanted
        by_finetuning &= (finetuned == gold) == wanted
    by_both = by_context & by_finetuning
    apart = by_both & (in_context != finetuned) if agreement == "same_label" else np.zeros_like(by_both)
    changes = np.stack([by_context | by_finetuning, apart], axis=1)
    return np.where(changes, (by_both & ~apart)[:, None], np.nan)


rpa_correct = variant(rpa, "rpa_correct", "RPA-correct", "RPA of changes to the right label.", only="correct")
rpa_incorrect = variant(rpa, "rpa_incorrect", "RPA-incorrect", "RPA of changes to a wrong label.", only="incorrect")


@metric(
    PredictionMetric,
    bounds=(0.0, 1.0),
    title="share of the most frequent prediction",
    definition="The share of queries that get the label predicted most; 1 where a method knows one label.",
    takes=lambda found: {"predicted": found.answered},
    of_prompted=True,
)
def most_frequent_label(predicted: Labels) -> PerQuery:
    """Whether each prediction is the label that is predicted most; the mean is 1 where a method knows one label."""
    return np.asarray(predicted == np.bincount(predicted).argmax(), dtype=float)


@metric(
    PredictionMetric,
    bounds=(0.0, 1.0),
    title="spread over orders",
    definition="How often two different orders of the demonstrations give a query different labels.",
    takes=lambda found: {"predicted": found.orders},
    of_prompted=True,
    over_orders=True,
)
def order_spread(predicted: Int[np.ndarray, "orders queries"]) -> PerQuery:
    """How often two different orders of the demonstrations give a query different labels.

    Raises:
        ValueError: fewer than two orders.
    """
    orders = len(predicted)
    if orders < 2:
        raise ValueError(f"a spread needs two orders, got {orders}")
    counts = np.stack([(predicted == label).sum(axis=0) for label in np.unique(predicted)])
    return np.asarray(1 - (counts * (counts - 1)).sum(axis=0) / (orders * (orders - 1)))


def predicted_labels(
    log_probabilities: Float[np.ndarray, "queries labels"],
    content_free: Float[np.ndarray, "fillers labels"],
    calibration: Calibration,
) -> Int[np.ndarray, " queries"]:
    """The label of each query.

    >>> said = np.log([[0.6, 0.2], [0.5, 0.4], [0.4, 0.3]])
    >>> [predicted_labels(said, said[:0], how).tolist() for how in ("none", "batch")]
    [[0, 0, 0], [0, 1, 1]]

    Args:
        log_probabilities: of each label's verbalizer, one method's of all queries that are calibrated together.
        content_free: the same method's log-probabilities for queries without content.
        calibration: `none`; `contextual`, each label's probability is divided by the one it has without content, the
            mean over the content-free queries of the probabilities normalised over labels; or `batch`, it is divided by
            its mean over the queries, whose true labels are not looked at. The labels of queries in a batch depend on
            each other; those of different batches do not.

    Source: contextual: Zhao et al. 2021, Calibrate Before Use, section 5, with W = diag(p_cf)^-1 and b = 0. Batch: Zhou
    et al. 2024, Batch Calibration, section 4: p(y|C) is estimated by the mean of p(y|x, C) over a batch of x.
    """
    scores = log_probabilities
    if calibration == "contextual":
        scores = log_probabilities - np.log(scipy.special.softmax(content_free, axis=1).mean(axis=0))
    elif calibration == "batch":
        scores = log_probabilities - scipy.special.logsumexp(log_probabilities, axis=0)
    return np.asarray(scores.argmax(axis=1))
