"""Whether a model learns in context at all: one that does not says nothing about in-context learning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from icl_claims import metrics
from icl_claims.evidence.trial_columns import Results, known_column
from icl_claims.experiments.result import TrialResult
from icl_claims.experiments.studies import IN_CONTEXT, LEARNING, ZERO_SHOT
from icl_claims.statistics.error_rates import ALLOWED
from icl_claims.statistics.replicates import Replicates
from icl_claims.tasks import title_of_task


@dataclass(frozen=True)
class Learning:
    """Accuracies of a task on draws apart from those of the claims.

    Args:
        p_values: of in-context learning above each of the other two; 1 where nothing can be said.
        draws: how many.
    """

    in_context: float
    most_frequent: float
    zero_shot: float
    p_values: tuple[float, float]
    draws: int

    @classmethod
    def of(cls, apart: Sequence[TrialResult]) -> Self:
        """The learning that some trials of a task show; there is at least one."""
        draws = [(result.spec.seed, result.spec.permutation) for result in apart]
        most_frequent = np.bincount(np.concatenate([result.gold for result in apart])).argmax()
        right, zero_shot = (
            [known_column(result, metrics.accuracy(method)) for result in apart] for method in (IN_CONTEXT, ZERO_SHOT)
        )
        guessed = [(result.gold == most_frequent).astype(float) for result in apart]
        same = len({tuple(result.query_rows) for result in apart}) == 1
        above_guessed, above_zero_shot = (
            Replicates.of_columns(draws, right, one, same_queries=same, bounds=(-1.0, 1.0)).contrast().p_above()
            for one in (guessed, zero_shot)
        )
        p_values = tuple(1.0 if p is None else p for p in (above_guessed, above_zero_shot))
        reached, chance, before = (float(np.mean(np.concatenate(one))) for one in (right, guessed, zero_shot))
        return cls(reached, chance, before, (p_values[0], p_values[1]), len(apart))


def learning_of(results: Mapping[str, Results], task: str) -> str:
    """Why a model is not known to learn a task in context, on draws apart from those of the claims; empty if it is.

    It learns where its answers in context beat always saying the most frequent label, or its own answers without
    demonstrations; each at half the error, since one is enough.
    """
    apart = results.get(LEARNING, {}).get(task, ())
    if not apart:
        return "whether the model learns in context was not tried"
    found = Learning.of(apart)
    if 2 * min(found.p_values) <= ALLOWED:
        return ""
    return (
        f"in-context learning is not shown to beat chance or zero-shot (accuracy {found.in_context:.2f}, most frequent "
        f"label {found.most_frequent:.2f}, zero-shot {found.zero_shot:.2f}, on {found.draws} other draws)"
    )


def learned_in_words(results: Mapping[str, Results]) -> str:
    """On which tasks in-context learning is shown to beat both chance and zero-shot; empty where it was not tried."""
    found = {task: Learning.of(apart) for task, apart in results.get(LEARNING, {}).items() if apart}
    both = [title_of_task(task) for task, one in found.items() if max(one.p_values) <= ALLOWED]
    others = [title_of_task(task) for task in found if title_of_task(task) not in both]
    words = [f"beats chance and zero-shot on {', '.join(both)}"] if both else []
    words += [f"is not shown to beat both on {', '.join(others)}"] if others else []
    return "; ".join(words)
