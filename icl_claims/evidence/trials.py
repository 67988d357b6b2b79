"""Evidence of our own trials: what claims can ask of them, and all their numbers as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from icl_claims import claims, metrics
from icl_claims.errors import ClaimError
from icl_claims.evidence.asking import TaskEvidence, over_tasks
from icl_claims.evidence.learning import learned_in_words, learning_of
from icl_claims.evidence.numbers import ANY_NUMBER, SEQUENCE, Numbers
from icl_claims.evidence.trial_columns import Results, column_of, known_column
from icl_claims.experiments.result import TrialResult, mean_over_rows
from icl_claims.experiments.studies import OWN, STUDIES, Study, measured_of, study_of
from icl_claims.questions import Quantity, Question, Side, TwoSided
from icl_claims.statistics.error_rates import Errors
from icl_claims.statistics.replicates import Column, Replicates, mean_over

MAIN = "main"


@dataclass(frozen=True, eq=False)
class TrialsEvidence(TaskEvidence):
    """The trials of one model.

    Args:
        results: The trials by the name of their study; a study that is not there was not run.
        details: Profile, model and data, for the report.
        studies: What quantities are looked up in.
        left_out: Tasks that were not run for claims about in-context learning, since the model does not learn them.
    """

    results: Mapping[str, Results]
    details: dict[str, Any] = field(default_factory=dict)
    studies: tuple[Study, ...] = tuple(STUDIES.values())
    left_out: tuple[str, ...] = ()
    source: str = "trials"
    _known: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    _answered: dict[Any, Sequence[Numbers]] = field(default_factory=dict, init=False, repr=False)
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
        asked = (*question.sides, question.any_model, *tasks)
        if asked not in self._answered:  # claims ask the same over and over
            self._answered[asked] = self._numbers_of(question, tasks)
        return self._answered[asked]

    def _numbers_of(self, question: TwoSided, tasks: Sequence[str]) -> Sequence[Numbers]:
        study = {}
        for quantity in question.quantities:
            found = study_of(quantity, self.studies)
            if found is None:  # a slip: unlike a table, trials measure whatever they are asked for in a known name
                wanted = ", ".join(measured_of(quantity.metric, self.studies))
                raise ClaimError(f"The source {self.source} measures no {quantity.name}", expected=wanted)
            study[quantity] = found.name
        of_learning = all(isinstance(one.metric, metrics.LearningMetric) for one in question.quantities)
        gated = not (of_learning or question.any_model)
        asked = [
            _AskedOfTask(
                self.results,
                task,
                *question.sides,
                study,
                self._no_learning(task) if gated else "",
                task in self.left_out,
            )
            for task in tasks
        ]
        of_tasks = [of_task.numbers for of_task in asked]
        return [*of_tasks, _numbers_together(of_tasks)]

    def _no_learning(self, task: str) -> str:
        if task not in self._known:
            self._known[task] = learning_of(self.results, task)
        return self._known[task]

    def provenance(self) -> dict[str, Any]:
        """What was run, task by task."""
        ran = list(self.results)
        study = MAIN if MAIN in ran or not ran else ran[0]
        trials = [
            {
                "task": task,
                **{"k": result.spec.k, "seed": result.spec.seed, "permutation": result.spec.permutation},
                **{name: getattr(result.spec.protocol, name) for name in ("calibration", "separator", "probe")},
                **{"queries": len(result.gold), **result.provenance},
            }
            for task, results in (self.results[study] if ran else {}).items()
            for result in results
        ]
        learned = learned_in_words(self.results)
        return {**self.details, **({"in_context_learning": learned} if learned else {}), "trials": trials}

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
    """One question about one task: the study of each quantity, and why the model is not known to learn the task."""

    results: Mapping[str, Results]
    task: str
    left: Quantity
    right: Side
    study: Mapping[Quantity, str]
    no_learning: str
    left_out: bool

    @property
    def numbers(self) -> Numbers:
        """Both sides, draw by draw."""
        if absence := self._absence:
            if self.no_learning and self.left_out and self.results.keys() >= set(self.study.values()):
                return Numbers(self.task, note=self.no_learning, undecided=True)
            return Numbers(self.task, absent=absence)
        draws = self._complete
        left = [known_column(by_study[self.study[self.left]], self.left) for by_study in draws.values()]
        right: list[Column] | float
        if isinstance(self.right, Quantity):
            right = [known_column(by_study[self.study[self.right]], self.right) for by_study in draws.values()]
        else:
            right = float(self.right)
        own = [by_study[self.study[self.left]] for by_study in draws.values()]
        same = max(map(len, left)) > 1 and len({tuple(result.query_rows) for result in own}) == 1
        replicates = Replicates.of_columns(
            list(draws), left, right, same_queries=same, bounds=_bounds(self.left, self.right)
        )
        counted = sum(int(np.isfinite(column).reshape(len(column), -1).any(axis=1).sum()) for column in left)
        notes = filter(None, (self.no_learning, self._unresolved, self._failures))
        return Numbers(
            self.task,
            *replicates.means,
            replicates=replicates,
            kind=SEQUENCE,
            queries=counted,
            note="; ".join(notes),
            unclear=_unclear(replicates),
            undecided=bool(self.no_learning),
        )

    @cached_property
    def _complete(self) -> dict[tuple[int, int], dict[str, TrialResult]]:
        """The results of every study by draw, of the draws that have all that is asked."""
        by_draw: dict[tuple[int, int], dict[str, TrialResult]] = {}
        for study in dict.fromkeys(self.study.values()):
            for result in self._of(study):
                by_draw.setdefault((result.spec.seed, result.spec.permutation), {})[study] = result

        def holds(by_study: Mapping[str, TrialResult]) -> bool:
            return all(
                study in by_study and column_of(by_study[study], quantity) is not None
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
                if column_of(result, quantity) is None:
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
