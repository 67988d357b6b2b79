"""Rounds of draws: when claims are looked at, what trials each needs, and whether more draws could turn its word."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, ClassVar

import pytest

from icl_claims.claims import EVERY_TASK, Claim, Comparison, Finding, Outcome, Rule, Verdict
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.evidence.deciding import verdict_on
from icl_claims.evidence.numbers import Numbers
from icl_claims.evidence.trials import MAIN
from icl_claims.experiments.studies import Study, study_of
from icl_claims.metrics import METRICS, LearningMetric
from icl_claims.questions import Quantity, Question, TwoSided
from icl_claims.statistics.error_rates import Errors
from icl_claims.tasks import PAPERS_TASKS

DECIDED = ("supported", "refuted", "vacuous")
Place = tuple[str, str]
"""A study and a task."""


def looks(draws: int) -> Iterator[int]:
    """After how many draws claims are looked at: a third of those that are planned, after every sixth more, and on.

    Words hold at any look, so that how many there are costs nothing.

    >>> from itertools import islice
    >>> list(islice(looks(24), 6)), list(islice(looks(10), 8))
    ([8, 12, 16, 20, 24, 28], [4, 5, 6, 7, 8, 9, 10, 11])
    """
    return count(min(draws, max(2, -(-draws // 3))), max(1, draws // 6))


@dataclass(frozen=True)
class Need:
    """A quantity that a claim needs of a study on a task; `gated` if it is of no use where the model learns nothing."""

    study: str
    task: str
    quantity: Quantity
    gated: bool


class _Asking(TaskEvidence):
    """Evidence that knows nothing yet, and notes what it is asked: a rule then says that all is undecided."""

    source = "trials"
    plants_noise: ClassVar[bool] = True

    def __init__(self) -> None:
        self.asked: list[tuple[TwoSided, Sequence[str]]] = []
        self.details: dict[str, Any] = {}

    def numbers(self, question: TwoSided, tasks: Sequence[str], errors: Errors) -> Sequence[Numbers]:
        """None of any task."""
        self.asked.append((question, tasks))
        return [Numbers(task, undecided=True) for task in (*tasks, EVERY_TASK)]

    def provenance(self) -> dict[str, Any]:
        """Nothing."""
        return {}


def needs_of(
    claim: Claim, deciding: Callable[..., Any] | None, studies: Iterable[Study], tasks: Collection[str]
) -> frozenset[Need]:
    """What a claim needs of trials: all that it asks on the way to its verdict, of noise too.

    Of a test that can only be run by pytest, which is given as None, nobody knows; it has the methods of study `main`.
    """
    known, evidence = tuple(studies), _Asking()
    if claim.questions or deciding is not None:
        with suppress(Exception, pytest.fail.Exception, pytest.skip.Exception):  # it will break in its own test, too
            verdict_on(claim, evidence, deciding or str)
        asked = [(q, question, of) for question, of in evidence.asked for q in question.quantities]
    else:
        main = [study for study in known if study.name == MAIN]
        every = ((study, metric(one)) for study in main for metric in METRICS for one in study.answering)
        asked = [(quantity, quantity > 0.0, PAPERS_TASKS) for study, quantity in every if study.measures(quantity)]
    return frozenset(
        Need(study.name, task, quantity, gated(question))
        for quantity, question, of in asked
        if (study := study_of(quantity, known)) is not None
        for task in of
        if task in tasks
    )


def narrowed(studies: Iterable[Study], needs: Iterable[Need], learned: Collection[str]) -> dict[Place, Study]:
    """Of each study on each task, what some needs ask of it, by its name and the task's.

    What is of no use where the model learns nothing is asked of the tasks alone that it has `learned` in context.
    """
    named = {study.name: study for study in studies}
    asked: dict[Place, list[Quantity]] = {}
    for need in needs:
        if need.task in learned or not need.gated:
            asked.setdefault((need.study, need.task), []).append(need.quantity)
    return {place: named[place[0]].narrowed(quantities) for place, quantities in asked.items()}


def gated(question: Question) -> bool:
    """Whether a question says something of a model only where that learns in context."""
    of_learning = all(isinstance(one.metric, LearningMetric) for one in question.quantities)
    return not (of_learning or question.any_model)


def cannot_turn(rule: Rule, verdict: Verdict, *, closed: Collection[str], within: float = math.inf) -> bool:
    """Whether no further draw could decide: not if all tasks that may still speak said the same, either way.

    Args:
        rule: What decides.
        verdict: What it says now.
        closed: Tasks that can say nothing, such as those that the model does not learn.
        within: How many draws there can be, of which one may take those for hopeless that would need more.
    """
    if verdict.word != "inconclusive" or verdict.comparison is None:
        return verdict.word == "not run"
    if _word(rule, verdict.comparison) == "supported":  # noise alone holds it back
        return False
    either_way: tuple[Outcome, ...] = ("holds", "fails")
    said = (_all_said(verdict.comparison, outcome, closed, within) for outcome in either_way)
    return not any(_word(rule, comparison) in DECIDED for comparison in said)


def _word(rule: Rule, comparison: Comparison) -> str:
    return rule.decide(comparison).word


def _all_said(comparison: Comparison, outcome: Outcome, closed: Collection[str], within: float) -> Comparison:
    """The comparison in which every task that could still say something says so."""

    def said(finding: Finding) -> Finding:
        still = finding.outcome == "unclear" and finding.task not in closed
        hopeless = finding.needed is not None and finding.needed > within
        return replace(finding, outcome=outcome) if still and not hopeless else finding

    return replace(comparison, findings=tuple(map(said, comparison.findings)))
