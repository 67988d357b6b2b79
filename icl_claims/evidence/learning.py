"""Whether a model learns in context at all: one that does not says nothing about in-context learning."""

from collections.abc import Mapping

import numpy as np

from icl_claims import metrics
from icl_claims.evidence.trial_columns import Results, known_column
from icl_claims.experiments.studies import IN_CONTEXT, LEARNING, ZERO_SHOT
from icl_claims.statistics.error_rates import ALLOWED
from icl_claims.statistics.replicates import Replicates


def learning_of(results: Mapping[str, Results], task: str) -> str:
    """Why a model is not known to learn a task in context, on draws apart from those of the claims; empty if it is.

    It learns where its answers in context beat always saying the most frequent label, or its own answers without
    demonstrations; each at half the error, since one is enough.
    """
    apart = results.get(LEARNING, {}).get(task, ())
    if not apart:
        return "whether the model learns in context was not tried"
    draws = [(result.spec.seed, result.spec.permutation) for result in apart]
    most_frequent = np.bincount(np.concatenate([result.gold for result in apart])).argmax()
    right, zero_shot = (
        [known_column(result, metrics.accuracy(method)) for result in apart] for method in (IN_CONTEXT, ZERO_SHOT)
    )
    guessed = [(result.gold == most_frequent).astype(float) for result in apart]
    same = len({tuple(result.query_rows) for result in apart}) == 1
    bounds = (-1.0, 1.0)
    others = (guessed, zero_shot)
    tried = [Replicates.of_columns(draws, right, one, same_queries=same, bounds=bounds) for one in others]
    p_values = [p for one in tried if (p := one.contrast().p_above()) is not None]
    if p_values and 2 * min(p_values) <= ALLOWED:
        return ""
    reached, chance, before = (float(np.mean(np.concatenate(one))) for one in (right, guessed, zero_shot))
    return (
        f"in-context learning is not shown to beat chance or zero-shot (accuracy {reached:.2f}, most frequent label "
        f"{chance:.2f}, zero-shot {before:.2f}, on {len(apart)} other draws)"
    )
