"""Metrics of how answers hang on labels: what accuracy is lost or regained, and which mapping of labels is followed."""

import numpy as np
import scipy
from jaxtyping import Float, Int

from icl_claims.metrics.metric import PredictionMetric, metric

Labels = Int[np.ndarray, " queries"]
PerQuery = Float[np.ndarray, " queries"]


@metric(
    PredictionMetric,
    bounds=(-1.0, 1.0),
    title="gain in accuracy",
    definition="By how much larger a share of the queries is answered right than by what the method is compared with.",
    takes=lambda found: {"predicted": found.answered, "reference": found.reference, "gold": found.gold},
    percent=True,
    of_prompted=True,
)
def accuracy_gain(predicted: Labels, reference: Labels, gold: Labels) -> PerQuery:
    """1 where the method alone is right, -1 where the reference alone is, else 0; the mean is the gain.

    >>> accuracy_gain.values(np.array([0, 1, 1]), np.array([1, 1, 0]), np.array([0, 1, 0])).tolist()
    [1.0, 0.0, -1.0]
    """
    return np.asarray((predicted == gold).astype(float) - (reference == gold))


@metric(
    PredictionMetric,
    bounds=(-1.0, 1.0),
    title="accuracy beyond half way",
    definition="Accuracy above the middle between zero-shot and in-context learning: above 0 where a method recovers "
    "more than half of what demonstrations in the context gain.",
    formula=r"a - \tfrac{1}{2}(a_\text{ZSL} + a_\text{ICL})",
    takes=lambda found: {
        "predicted": found.answered,
        "in_context": found.reference,
        "zero_shot": found.zero_shot,
        "gold": found.gold,
    },
    percent=True,
)
def beyond_half_way(predicted: Labels, in_context: Labels, zero_shot: Labels, gold: Labels) -> PerQuery:
    """Whether the method is right, less the mean of whether in-context learning and zero-shot are.

    With a gain a_ICL - a_ZSL above 0 the mean is above 0 just where (a - a_ZSL) / (a_ICL - a_ZSL) is above 1/2; it has
    no denominator that could be near 0.

    >>> in_context, zero_shot, gold = np.array([0, 1, 1]), np.array([1, 1, 0]), np.array([0, 1, 1])
    >>> beyond_half_way.values(np.array([0, 1, 0]), in_context, zero_shot, gold).tolist()
    [0.5, 0.0, -0.5]
    """
    right, by_context, before = (
        np.asarray(labels == gold, dtype=float) for labels in (predicted, in_context, zero_shot)
    )
    return np.asarray(right - (by_context + before) / 2)


@metric(
    PredictionMetric,
    bounds=(-np.inf, 0.0),
    title="log-probability of the true label",
    definition="Logarithm of the probability of the true label among the labels, never calibrated.",
    unit="nats",
    takes=lambda found: {"log_probabilities": found.log_probabilities, "gold": found.gold},
    of_prompted=True,
)
def true_label_log_probability(log_probabilities: Float[np.ndarray, "queries labels"], gold: Labels) -> PerQuery:
    """log(p(gold) / sum of p over the labels), so that it says nothing of whether a label is said at all.

    >>> true_label_log_probability.values(np.log([[0.3, 0.1], [0.2, 0.2]]), np.array([0, 1])).round(3).tolist()
    [-0.288, -0.693]
    """
    among_labels = scipy.special.log_softmax(log_probabilities, axis=1)
    return np.asarray(np.take_along_axis(among_labels, gold[:, None], axis=1)[:, 0])


@metric(
    PredictionMetric,
    bounds=(0.0, 1.0),
    title="share of answers by the exchanged labels",
    definition="The share of queries that get the label of the next class, as demonstrations with exchanged labels do.",
    source="Kossen et al. 2024, section 8, of two labels",
    takes=lambda found: {
        "predicted": found.answered,
        "gold": found.gold,
        "classes": found.log_probabilities.shape[1],
    },
    of_prompted=True,
)
def follows_exchanged(predicted: Labels, gold: Labels, classes: int) -> PerQuery:
    """Whether each prediction is the label of the next class, as `SwitchedLabels(..., "cyclic")` has it.

    >>> follows_exchanged.values(np.array([1, 1, 0]), np.array([0, 1, 2]), 3).tolist()
    [1.0, 0.0, 1.0]
    """
    return np.asarray(predicted == (gold + 1) % classes, dtype=float)
