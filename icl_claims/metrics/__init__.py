"""How alike two ways of learning are: every metric knows its name, its definition, and what it is computed from."""

from icl_claims.metrics.learning import drift, first_log_gradient_ratio, gradient_norm, lens_loss, log_gradient_ratio
from icl_claims.metrics.metric import (
    DEMONSTRATION_LENGTHS,
    RANDOM_UPDATE,
    Answer,
    Baseline,
    Course,
    LayerMetric,
    LearningMetric,
    Metric,
    Predicted,
    PredictionMetric,
    Seen,
    SetMetric,
)
from icl_claims.metrics.predictions import (
    accuracy,
    changed,
    most_frequent_label,
    order_spread,
    rec2ftp,
    rpa,
    rpa_correct,
    rpa_incorrect,
)
from icl_claims.metrics.similarity import sim_am, sim_am_update, sim_aou, sim_aou_unnormalised
from icl_claims.metrics.training_attention import kendall

OF_PREDICTIONS = (accuracy, changed, rec2ftp, rpa, rpa_correct, rpa_incorrect, most_frequent_label, order_spread)
BY_LAYER = (sim_aou, sim_aou_unnormalised, sim_am, sim_am_update, kendall, lens_loss)
OF_LEARNING = (gradient_norm, log_gradient_ratio, first_log_gradient_ratio, drift)
METRICS: tuple[Metric, ...] = (*OF_PREDICTIONS, *BY_LAYER, *OF_LEARNING)
"""The metrics that every trial measures, in the order of tables."""
