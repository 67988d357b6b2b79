"""Negative controls of the claims that trials decide: they go with what their comparisons say, and against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from icl_claims.claims import EVERY_TASK, Finding, Outcome
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.evidence.numbers import Numbers
from icl_claims.questions import Denied
from tests.quality.data_claims import data_claims

WHEN_TASKS_DIFFER = {"clip-task-dependent"}
NEVER_WHERE_MEASURED = {"lin-memory"}
EXCEPTIONS = WHEN_TASKS_DIFFER | NEVER_WHERE_MEASURED
OF_ALL_TASKS_ALIKE = [claim for claim in data_claims("trials") if claim.claim.id not in EXCEPTIONS]


@dataclass(frozen=True)
class PlantedNumbers(Numbers):
    """Numbers that say the same to every question."""

    says: Outcome = "absent"

    def finding(self, question, errors):
        return Finding(self.task, self.says, 1.0, 1.0, 0.0)


@dataclass(frozen=True)
class Planted(TaskEvidence):
    """Evidence in which a comparison holds or fails on a task, whatever is compared."""

    outcome: Callable[[str], Outcome]
    profile: str = "paper"

    @property
    def details(self):
        return {"profile": self.profile}

    def numbers(self, question, tasks, errors):
        return [PlantedNumbers(task, says=self.outcome(task)) for task in (*tasks, EVERY_TASK)]

    def provenance(self):
        return self.details


def by_name(id_of_claim):
    return next(claim for claim in data_claims("trials") if claim.claim.id == id_of_claim)


@pytest.mark.parametrize("claim", OF_ALL_TASKS_ALIKE, ids=str)
def test_a_claim_goes_with_what_it_asks_and_against_it(claim):
    words = [claim.decided_on(Planted(lambda _, outcome=outcome: outcome)).word for outcome in ("holds", "fails")]
    expected = ["supported", "refuted"]
    assert words == (expected[::-1] if isinstance(claim.claim.questions[0], Denied) else expected)


def test_the_claims_that_deny_what_they_ask_are_two():
    denying = {claim.claim.id for claim in OF_ALL_TASKS_ALIKE if isinstance(claim.claim.questions[0], Denied)}
    assert denying == {"order-sensitivity", "lc-sequential"}


@pytest.mark.parametrize("claim", data_claims("trials"), ids=str)
def test_a_claim_is_not_run_where_nothing_was_measured(claim):
    assert claim.decided_on(Planted(lambda _: "absent")).word == "not run"


@pytest.mark.parametrize("claim", OF_ALL_TASKS_ALIKE, ids=str)
def test_a_claim_is_undecided_where_no_interval_decides(claim):
    assert claim.decided_on(Planted(lambda _: "unclear")).word == "inconclusive"


def test_clipping_depends_on_the_task_only_if_tasks_differ():
    claim = by_name("clip-task-dependent")
    differing = Planted(lambda task: "holds" if task == "subj" else "fails")
    assert claim.decided_on(differing).word == "supported"
    assert claim.decided_on(Planted(lambda _: "holds")).word == "refuted"
    assert claim.decided_on(Planted(lambda _: "unclear")).word == "inconclusive"


def test_a_measured_task_is_not_out_of_reach_for_want_of_memory():
    claim = by_name("lin-memory")
    assert claim.decided_on(Planted(lambda _: "unclear")).word == "refuted"
    assert claim.decided_on(Planted(lambda _: "unclear", profile="embedded")).word == "not run"
