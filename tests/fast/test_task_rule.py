"""The rule of tasks against every way in which the undecided ones could go."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import EVERY_TASK, ON_AVERAGE, Comparison, Finding, TaskRule
from icl_claims.errors import ClaimError
from icl_claims.statistics.error_rates import ALLOWED

OUTCOMES = ("holds", "fails", "unclear", "absent")


def decide(rule, findings):
    return rule.decide(Comparison("a question", tuple(findings)))


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
    st.integers(0, 6),
    st.lists(st.sampled_from(OUTCOMES), min_size=6, max_size=6),
    st.booleans(),
    st.sampled_from(OUTCOMES),
)
def test_a_verdict_is_one_that_undecided_tasks_could_not_turn(at_least, outcomes, overall, together):
    rule = TaskRule(at_least, overall=overall or not at_least)
    overall = rule.overall
    findings = [Finding(f"task {i}", outcome) for i, outcome in enumerate(outcomes)]
    everything = [*findings, Finding(EVERY_TASK, together)] if overall else findings
    assert decide(rule, everything).word == brute_force(rule, outcomes, together)


@pytest.mark.parametrize("count", [0, 5, 7])
def test_a_rule_is_about_as_many_tasks_as_it_says(count):
    with pytest.raises(ClaimError, match=f"A rule about 6 tasks was asked to decide {count}"):
        decide(TaskRule(5), [Finding(f"task {i}", "holds") for i in range(count)])


@given(st.integers(1, 6), st.lists(st.sampled_from(OUTCOMES), min_size=6, max_size=6), st.randoms())
def test_the_order_of_tasks_does_not_matter(at_least, outcomes, random):
    findings = [Finding(f"task {i}", outcome) for i, outcome in enumerate(outcomes)]
    shuffled = random.sample(findings, 6)
    assert decide(TaskRule(at_least), findings).word == decide(TaskRule(at_least), shuffled).word


def test_a_claim_about_a_missing_sum_is_undecided():
    findings = [Finding(f"task {i}", "holds") for i in range(6)]
    assert decide(TaskRule(6, overall=True), findings).word == "inconclusive"


def test_the_reason_names_undecided_tasks_and_the_plain_numbers():
    findings = [Finding(f"t{i}", "holds", difference=0.1) for i in range(5)]
    verdict = decide(TaskRule(5), [*findings, Finding("cb", "unclear", note="no query counts")])
    assert "Holds on 5 and fails on 0 of 6 tasks, and 5 are needed" in verdict.why
    assert "undecided: CB (no query counts)" in verdict.why
    assert verdict.plain_numbers == "By the plain numbers it is so on 5 of 5."


P_VALUES = (0.001, 0.002, 0.003, 0.004, 0.02, 0.9)


@pytest.mark.parametrize(
    ("rule", "p"),
    [
        (TaskRule(5), 2 * 0.02),  # one of two more tasks would have to be mistaken
        (TaskRule(4), 3 * 0.004),
        (TaskRule(6), 0.9),
        (TaskRule(1), 6 * 0.001),
        (TaskRule(5, overall=True), 0.04),
        (TaskRule(0, overall=True), 0.01),
    ],
)
def test_the_p_value_is_the_error_at_which_the_rule_would_say_so(rule, p):
    tasks = [Finding(f"t{i}", "unclear", p_holds=value, p_fails=1.0) for i, value in enumerate(P_VALUES)]
    mean = Finding(EVERY_TASK, "unclear", p_holds=0.01, p_fails=1.0)
    compared = Comparison("a question", (*tasks, mean))
    assert rule.p_values(compared)[0] == pytest.approx(p)
    turned = [replace(one, p_holds=one.p_fails, p_fails=one.p_holds) for one in (*tasks, mean)]
    _, refuted = TaskRule(2).p_values(Comparison("a question", tuple(turned)))
    assert refuted == pytest.approx(2 * 0.02)  # five tasks fail, of which one of two would have to be mistaken


@pytest.mark.parametrize(
    "rule", [TaskRule(m, overall=overall) for m in range(1, 7) for overall in (False, True)], ids=str
)
def test_words_of_tasks_add_up_to_the_allowed_error(rule):
    ways = 2 if rule.overall else 1
    assert rule.errors.holds * (rule.of - rule.at_least + 1) == pytest.approx(ALLOWED)
    assert rule.errors.fails * rule.at_least * ways == pytest.approx(ALLOWED)


@pytest.mark.parametrize("at_least", [0, 7, -1])
def test_a_rule_that_asks_for_the_impossible_is_refused(at_least):
    with pytest.raises(ClaimError, match=f"asks for the impossible: at_least={at_least} must be between 1 and 6"):
        TaskRule(at_least)


@pytest.mark.parametrize(
    ("together", "word", "told"),
    [
        ("holds", "supported", "It would be refuted if it failed over all tasks."),
        ("fails", "refuted", "It would be supported if it held over all tasks."),
        ("unclear", "inconclusive", "It would be supported if it held over all tasks, and refuted if it failed there."),
    ],
)
def test_what_would_change_a_claim_about_an_average(together, word, told):
    tasks = [Finding(f"t{i}", "fails" if i else "holds") for i in range(6)]
    verdict = decide(ON_AVERAGE, [*tasks, Finding(EVERY_TASK, together)])
    assert (verdict.word, verdict.would_change) == (word, told)
    assert str(ON_AVERAGE) == "holds for the mean over 6 tasks"
