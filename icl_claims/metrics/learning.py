"""Metrics of learning itself: gradients, drift of the weights, and what each layer predicts by itself."""

import numpy as np
from jaxtyping import Float, Int

from icl_claims.metrics.metric import LayerMetric, LearningMetric, metric, variant

Steps = Float[np.ndarray, "steps layers"]


@metric(
    LayerMetric,
    title="loss of the logit lens",
    definition="Cross-entropy of the true label in the prediction that final norm and head read off each layer.",
    source="nostalgebraist 2020, the logit lens; Rethinking, section 3.4",
    unit="nats",
    takes=lambda found: {"lens": found.answer.lens.detach().cpu().double().numpy(), "gold": found.gold},
    needs=frozenset({"lens"}),
    compares=False,
)
def lens_loss(
    lens: Float[np.ndarray, "layers queries labels"], gold: Int[np.ndarray, " queries"]
) -> Float[np.ndarray, "queries layers"]:
    """Cross-entropy, in nats, of the true label in the prediction that is read off each layer."""
    return np.asarray(-np.take_along_axis(lens, gold[None, :, None], axis=2)[:, :, 0].T)


@metric(
    LearningMetric,
    title="gradient norm",
    definition="L2 norm of the gradient of a layer's key and value projections at one demonstration, before any "
    "clipping.",
    source="Rethinking, figure 3",
    takes=lambda found: {"norms": found.gradient_norms},
)
def gradient_norm(norms: Steps | None, *, first: int | None = None) -> Float[np.ndarray, "_ layers"] | None:
    """The norms themselves, one row per step, of the first so many steps or of all."""
    return None if norms is None else norms[:first]


first_gradient_norm = variant(
    gradient_norm,
    "first_gradient_norm",
    "gradient norm at the first step",
    "The same at the first step, where all methods still have the same weights.",
    first=1,
)


@metric(
    LearningMetric,
    title="log ratio of gradient norms",
    definition="Logarithm of a method's gradient norm over that of standard finetuning, step by step; 0 where equal. "
    "A layer without a gradient, as one that adds nothing to its input, has no value.",
    source="Rethinking, section 3.4",
    takes=lambda found: {"norms": found.gradient_norms, "standard": found.standard},
    of_standard=True,
)
def log_gradient_ratio(
    norms: Steps | None, standard: Steps | None, *, first: int | None = None
) -> Float[np.ndarray, "_ layers"] | None:
    """log(||g|| / ||g of finetuning||), one row per step, of the first so many steps or of all; NaN where one is 0."""
    if norms is None or standard is None:
        return None
    sizes = (np.where(of_side[:first] > 0, of_side[:first], np.nan) for of_side in (norms, standard))
    return np.asarray(np.subtract(*map(np.log, sizes)))


first_log_gradient_ratio = variant(
    log_gradient_ratio,
    "first_log_gradient_ratio",
    "log ratio of gradient norms at the first step",
    "The same at the first step, where all methods still have the same weights.",
    first=1,
)


@metric(
    LearningMetric,
    title="drift of the weights",
    definition="How far learning moved the key and value projections of a layer, relative to their size.",
    formula=r"\frac{\lVert \Delta W \rVert}{\lVert W \rVert}",
    source="Rethinking, section 3.4, first fallacy",
    takes=lambda found: {"drift": found.drift},
)
def drift(drift: Float[np.ndarray, " layers"] | None) -> Float[np.ndarray, "1 layers"] | None:
    """||dW|| / ||W|| of every layer, as one row."""
    return None if drift is None else drift[None]
