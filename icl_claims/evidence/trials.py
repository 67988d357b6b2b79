"""Evidence of our own trials: what claims can ask of them, and all their numbers as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from icl_claims import claims, metrics
from icl_claims.errors import ClaimError
from icl_claims.evidence.asking import TaskEvidence, over_tasks
from icl_claims.evidence.numbers import ANY_NUMBER, SEQUENCE, Numbers
from icl_claims.experiments.result import TrialResult, mean_over_rows
from icl_claims.experiments.studies import IN_CONTEXT, LEARNING, OWN, STUDIES, ZERO_SHOT, Study, measured_of, study_of
from icl_claims.questions import Quantity, Question, Side, TwoSided
from icl_claims.statistics.error_rates import ALLOWED, Errors
from icl_claims.statistics.replicates import Column, Replicates, mean_over

Results = Mapping[str, Sequence[TrialResult]]
"""Trials by task, one for each draw of demonstrations."""
MAIN = "main"


@dataclass(frozen=True, eq=False)
class TrialsEvidence(TaskEvidence):
    """The trials of one model.

    Args:
        results: The trials by the name of their study; a study that is not there was not run.
        details: Profile, model and data, for the report.
    """

    results: Mapping[str, Results]
    details: dict[str, Any] = field(default_factory=dict)
    studies: tuple[Study, ...] = tuple(STUDIES.values())
    source: str = "trials"
    plants_noise: ClassVar[bool] = True

    def measures(self, question: Question) -> bool:
        """Whether some study measures all that a question is about."""
        return all(study_of(quantity, self.studies) is not None for quantity in question.quantities)

    def numbers(self, question: TwoSided, tasks: Sequence[str], errors: Errors) -> Sequence[Numbers]:
        """Quantities of each draw of demonstrations, task by task, and their mean over the tasks that count.

        A task is undecided on which the model does not learn in context, unless the question is about the course of
        learning alone, or asked of any model.

        Raises:
            ClaimError: No study measures such a quantity.
        """
        study = {}
        for quantity in question.quantities:
            found = study_of(quantity, self.studies)
            if found is None:  # a slip: unlike a table, trials measure whatever they are asked for in a known name
                wanted = ", ".join(measured_of(quantity.metric, self.studies))
                raise ClaimError(f"The source {self.source} measures no {quantity.name}", expected=wanted)
            study[quantity] = found.name
        of_learning = all(isinstance(one.metric, metrics.LearningMetric) for one in question.quantities)
        gated = not (of_learning or question.any_model)
        asked = [_AskedOfTask(self.results, task, *question.sides, study, gated) for task in tasks]
        of_tasks = [of_task.numbers for of_task in asked]
        return [*of_tasks, _numbers_together(of_tasks)]

    def provenance(self) -> dict[str, Any]:
        """What was run, task by task."""
        ran = list(self.results)
        study = MAIN if MAIN in ran or not ran else ran[0]
        trials = [
            {
                "task": task,
                **{"k": result.spec.k, "seed": result.spec.seed, "permutation": result.spec.permutation},
                **{"calibration": result.spec.protocol.calibration, "probe": result.spec.protocol.probe},
                **{"queries": len(result.gold), **result.provenance},
            }
            for task, results in (self.results[study] if ran else {}).items()
            for result in results
        ]
        return {**self.details, "trials": trials}

    def table(self) -> pd.DataFrame:
        """All numbers as one tidy table: source, model, task, seed, method, metric, layer, query, value.

        A row has either a query (the mean over layers) or a layer (the mean over queries). RPA has a second row for a
        query that two methods change to different labels.
        """
        frames = [
            _tidy(result, task, Quantity(metric, method))
            for task, results in self.results.get(MAIN, {}).items()
            for result in results
            for metric in metrics.METRICS
            for method in result.measured
        ]
        return pd.concat([frame for frame in frames if frame is not None], ignore_index=True).assign(source=self.source)


@dataclass(frozen=True, eq=False)
class _AskedOfTask:
    """One question about one task, and what the trials hold about it; `study` names that of each quantity."""

    results: Mapping[str, Results]
    task: str
    left: Quantity
    right: Side
    study: Mapping[Quantity, str]
    gated: bool

    @property
    def numbers(self) -> Numbers:
        """Both sides, draw by draw."""
        if absence := self._absence:
            return Numbers(self.task, absent=absence)
        draws = self._complete
        left = [_known_column(by_study[self.study[self.left]], self.left) for by_study in draws.values()]
        right: list[Column] | float
        if isinstance(self.right, Quantity):
            right = [_known_column(by_study[self.study[self.right]], self.right) for by_study in draws.values()]
        else:
            right = float(self.right)
        own = [by_study[self.study[self.left]] for by_study in draws.values()]
        same = max(map(len, left)) > 1 and len({tuple(result.query_rows) for result in own}) == 1
        replicates = Replicates.of_columns(
            list(draws), left, right, same_queries=same, bounds=_bounds(self.left, self.right)
        )
        no_learning = learning_of(self.results, self.task) if self.gated else ""
        counted = sum(int(np.isfinite(column).reshape(len(column), -1).any(axis=1).sum()) for column in left)
        notes = filter(None, (no_learning, self._unresolved, self._failures))
        return Numbers(
            self.task,
            *replicates.means,
            replicates=replicates,
            kind=SEQUENCE,
            queries=counted,
            note="; ".join(notes),
            unclear=_unclear(replicates),
            undecided=bool(no_learning),
        )

    @property
    def _complete(self) -> dict[tuple[int, int], dict[str, TrialResult]]:
        """The results of every study by draw, of the draws that have all that is asked."""
        by_draw: dict[tuple[int, int], dict[str, TrialResult]] = {}
        for study in dict.fromkeys(self.study.values()):
            for result in self._of(study):
                by_draw.setdefault((result.spec.seed, result.spec.permutation), {})[study] = result

        def holds(by_study: Mapping[str, TrialResult]) -> bool:
            return all(
                study in by_study and by_study[study].column(quantity) is not None
                for quantity, study in self.study.items()
            )

        return {draw: by_study for draw, by_study in by_draw.items() if holds(by_study)}

    @property
    def _absence(self) -> str:
        """Why there is nothing to compare; empty if there is."""
        if self._complete:
            return ""
        for quantity, study in self.study.items():
            results = self._of(study)
            if not results:
                return "this task was not run" if study in (MAIN, OWN) else f"the study {study} was not run"
            for result in results:
                if quantity.method.name in result.failures:
                    return result.failures[quantity.method.name]
                if result.column(quantity) is None:
                    return f"{quantity} was not measured"
        return "no draw has both sides"

    @property
    def _failures(self) -> str:
        """In how many draws a method failed; empty if in none."""
        names = {quantity.method.name: (quantity.method.title, study) for quantity, study in self.study.items()}
        failed = []
        for name, (title, study) in names.items():
            results = self._of(study)
            if many := sum(name in result.failures for result in results):
                failed.append(f"{title} failed in {many} of {len(results)} draws, which are left out")
        return "; ".join(failed)

    @property
    def _unresolved(self) -> str:
        """What is left out since updates are too small for the dtype of the model; empty if nothing is."""
        left_out = []
        for quantity, study in self.study.items():
            if isinstance(quantity.metric, metrics.LayerMetric) and quantity.metric.of_updates:
                results = self._of(study)
                values = [found for one in results if (found := one.values_by_layer(quantity)) is not None]
                if lost := np.isnan(np.concatenate(values)).mean():
                    resolves = f"updates that {results[0].spec.dtype} does not resolve"
                    left_out.append(f"{quantity} leaves out {lost:.0%} of its values, of {resolves}")
        return "; ".join(left_out)

    def _of(self, study: str) -> Sequence[TrialResult]:
        return self.results.get(study, {}).get(self.task, ())


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
        [_known_column(result, metrics.accuracy(method)) for result in apart] for method in (IN_CONTEXT, ZERO_SHOT)
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


def _numbers_together(of_tasks: Sequence[Numbers]) -> Numbers:
    """The mean over the tasks that count, each as heavy as another; undecided where others could turn it."""
    counting = [one for one in of_tasks if not one.absent and not one.undecided and one.replicates is not None]
    if not counting:
        return Numbers(claims.EVERY_TASK, note="no task counts", undecided=True)
    together = mean_over([one.replicates for one in counting if one.replicates is not None])
    return Numbers(
        claims.EVERY_TASK,
        *together.means,
        replicates=together,
        kind=SEQUENCE,
        queries=sum(one.queries for one in counting),
        note=over_tasks(len(counting), len(of_tasks)),
        undecided=len(counting) < len(of_tasks),
    )


def _bounds(left: Quantity, right: Side) -> tuple[float, float]:
    """From where to where a difference of two quantities can lie."""
    ranges = [
        getattr(side.metric, "bounds", ANY_NUMBER) if isinstance(side, Quantity) else (side, side)
        for side in (left, right)
    ]
    (low, high), (others_low, others_high) = ranges
    return low - others_high, high - others_low


def _unclear(replicates: Replicates) -> str:
    many = len(replicates.draws)
    if many < 2:
        return "one draw, which says nothing about others" if many else "no query counts"
    return (
        "the interval does not decide" if replicates.contrast().known else "no spread: every draw has the same number"
    )


def _known_column(result: TrialResult, quantity: Quantity) -> Column:
    column = result.column(quantity)
    assert column is not None
    return column


def _tidy(result: TrialResult, task: str, quantity: Quantity) -> pd.DataFrame | None:
    values, metric = result.column(quantity), quantity.metric
    if values is None:
        return None
    rows = []
    if not isinstance(metric, metrics.LearningMetric):
        of_queries = values.reshape(len(values), -1)
        counted = ~np.isnan(of_queries)
        counted[:, 0] = True
        queries = result.query_rows[np.nonzero(counted)[0]]
        rows.append(pd.DataFrame({"layer": pd.NA, "query": queries, "value": of_queries[counted]}))
    by_layer = None if isinstance(metric, metrics.PredictionMetric) else result.values_by_layer(quantity)
    if by_layer is not None:
        layers = mean_over_rows(by_layer)
        rows.append(pd.DataFrame({"layer": range(len(layers)), "query": pd.NA, "value": layers}))
    return pd.concat(rows, ignore_index=True).assign(
        model=result.provenance["model"],
        task=task,
        seed=result.spec.seed,
        method=quantity.method.name,
        metric=metric.name,
    )
