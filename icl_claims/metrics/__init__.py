"""How alike two ways of learning are: every metric knows its name, its definition, and what it is computed from."""

from importlib import import_module
from pkgutil import iter_modules

from icl_claims.metrics.learning import (
    drift,
    first_gradient_norm,
    first_log_gradient_ratio,
    gradient_norm,
    lens_loss,
    log_gradient_ratio,
)
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
from icl_claims.metrics.next_tokens import likeliest_tokens, token_overlap
from icl_claims.metrics.predictions import (
    accuracy,
    changed,
    most_frequent_label,
    order_spread,
    predicted_labels,
    rec2ftp,
    rpa,
    rpa_correct,
    rpa_incorrect,
)
from icl_claims.metrics.similarity import (
    kendall,
    shares_of_demonstrations,
    sim_am,
    sim_am_update,
    sim_aou,
    sim_aou_unnormalised,
)
from icl_claims.metrics.true_labels import (
    accuracy_gain,
    beyond_half_way,
    follows_exchanged,
    true_label_log_probability,
)

_ROOMS = [import_module(f"{__name__}.{room.name}") for room in iter_modules(__path__)]
_DECLARED = dict.fromkeys(thing for room in _ROOMS for thing in vars(room).values() if isinstance(thing, Metric))
BY_LAYER = tuple(metric for metric in _DECLARED if isinstance(metric, LayerMetric))
METRICS: tuple[Metric, ...] = (
    *(metric for metric in _DECLARED if isinstance(metric, PredictionMetric)),
    *BY_LAYER,
    *(metric for metric in _DECLARED if isinstance(metric, LearningMetric)),
)
"""The metrics that every trial measures: all that are declared on this floor, in the order of tables."""
