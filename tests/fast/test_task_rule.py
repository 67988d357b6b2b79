"""The rule of tasks against every way in which the undecided ones could go."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import EVERY_TASK, Finding, TaskRule
from icl_claims.errors import ClaimError

OUTCOMES = ("holds", "fails", "unclear", "absent")


def could_go(outcome):
    return (outcome,) if outcome in ("holds", "fails") else ("holds", "fails")


def brute_force(rule, outcomes, together):
    """The verdict by every way in which the undecided could have come out."""
    if all(outcome == "absent" for outcome in outcomes):
        return "not run"
    ends = {
        ways[:-1].count("holds") >= rule.at_least and (not rule.overall or ways[-1] == "holds")
        for ways in product(*map(could_go, (*outcomes, together)))
    }
    return "inconclusive" if len(ends) == 2 else "supported" if ends.pop() else "refuted"


@given(
    st.integers(1, 6),
    st.lists(st.sampled_from(OUTCOMES), min_size=6, max_size=6),
    st.booleans(),
    st.sampled_from(OUTCOMES),
)
def test_a_verdict_is_given_only_where_the_undecided_tasks_could_not_turn_it(at_least, outcomes, overall, together):
    rule = TaskRule(at_least, overall=overall)
    findings = [Finding(f"task {i}", outcome) for i, outcome in enumerate(outcomes)]
    everything = [*findings, Finding(EVERY_TASK, together)] if overall else findings
    assert rule.decide(everything).word == brute_force(rule, outcomes, together)


@given(st.integers(1, 6), st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=5))
def test_a_task_that_is_not_named_at_all_is_undecided(at_least, outcomes):
    rule, findings = TaskRule(at_least), [Finding(f"task {i}", outcome) for i, outcome in enumerate(outcomes)]
    assert rule.decide(findings).word == brute_force(
        rule, [*outcomes, *["unclear"] * (6 - len(outcomes))], "unclear"
    ) or (all(outcome == "absent" for outcome in outcomes) and rule.decide(findings).word == "not run")


@given(st.integers(1, 6), st.lists(st.sampled_from(OUTCOMES), min_size=6, max_size=6), st.randoms())
def test_the_order_of_tasks_does_not_matter(at_least, outcomes, random):
    findings = [Finding(f"task {i}", outcome) for i, outcome in enumerate(outcomes)]
    shuffled = random.sample(findings, 6)
    assert TaskRule(at_least).decide(findings).word == TaskRule(at_least).decide(shuffled).word


def test_a_claim_about_the_sum_is_undecided_where_the_sum_is_missing():
    findings = [Finding(f"task {i}", "holds") for i in range(6)]
    assert TaskRule(6, overall=True).decide(findings).word == "inconclusive"


def test_the_reason_names_the_undecided_tasks_and_quotes_the_sign_test():
    findings = [*(Finding(f"t{i}", "holds") for i in range(5)), Finding("cb", "unclear", note="no query counts")]
    why = TaskRule(5).decide(findings).why
    assert "Holds on 5 and fails on 0 of 6 tasks, and 5 are needed" in why
    assert "undecided: cb (no query counts)" in why
    assert "p = 0.031; 5 tasks allow no less than 0.031" in why


@pytest.mark.parametrize("at_least", [0, 7, -1])
def test_a_rule_that_asks_for_the_impossible_is_refused(at_least):
    with pytest.raises(ClaimError, match=f"expected 1 to 6, got self.at_least={at_least}"):
        TaskRule(at_least)
