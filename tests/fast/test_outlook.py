"""What an undecided claim waits for is named: draws, tasks that are not learned, methods that fail, or nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import GENERALLY, Comparison, Finding, Verdict, at_least
from icl_claims.evidence.outlook import outlook_of
from icl_claims.report.effort import outlook_of_run, outlook_words, spent_words
from icl_claims.tasks import PAPERS_TASKS

HOLDS, FAILS = {"outcome": "holds", "difference": 0.2}, {"outcome": "fails", "difference": -0.2}


def unclear(needed, difference=0.1, **more):
    return {"outcome": "unclear", "difference": difference, "needed": needed, **more}


def asked(*findings):
    return Comparison("it is so", tuple(Finding(task, **one) for task, one in zip(PAPERS_TASKS, findings, strict=True)))


def outlook(*findings, rule=GENERALLY, closed=()):
    comparison = asked(*findings)
    return outlook_of(rule, rule.decide(comparison), closed=closed)


def test_a_decided_claim_waits_for_nothing():
    assert outlook(*[HOLDS] * 5, unclear(99)) is None


def test_a_claim_waits_for_the_draws_of_the_task_that_decides_it():
    found = outlook(*[HOLDS] * 3, unclear(100), unclear(30), unclear(50))
    assert (found.draws, found.why) == (50, "")


def test_tasks_that_lean_against_it_may_refute_it():
    assert outlook(*[HOLDS] * 3, unclear(100, -0.1), unclear(30, -0.1), unclear(50)).draws == 100


def test_p_values_say_how_a_task_leans_before_its_difference_does():
    denied = unclear(40, 0.1, p_holds=0.9, p_fails=0.1)
    assert outlook(*[FAILS], *[HOLDS] * 4, denied).draws == 40
    assert outlook(*[HOLDS] * 4, unclear(None), unclear(60, -0.1, p_holds=0.1, p_fails=0.9)).draws == 60


def test_tasks_that_are_not_learned_are_named():
    found = outlook(*[HOLDS] * 4, unclear(None), unclear(None), closed=PAPERS_TASKS[4:])
    assert (found.draws, found.why) == (None, "the model does not learn AGNews, CB in context")


def test_a_method_that_fails_is_named_with_its_tasks():
    broken = {"outcome": "absent", "note": "finetuning diverges: its loss is nan"}
    found = outlook(*[HOLDS] * 4, broken, broken)
    assert found.why == "there is no evidence on AGNews, CB (finetuning diverges: its loss is nan)"


def test_where_no_number_of_draws_is_known_it_says_so():
    assert "cannot be told" in outlook(*[HOLDS] * 4, unclear(None), unclear(None)).why


def test_a_claim_that_noise_holds_back_says_what_it_waits_for():
    comparison = asked(*[HOLDS] * 6)
    held = replace(GENERALLY.decide(comparison), word="inconclusive", would_change="Noise must be beaten.")
    assert outlook_of(GENERALLY, held, closed=()).why == "Noise must be beaten."


def test_a_verdict_without_tasks_keeps_its_reason():
    assert outlook_of(GENERALLY, Verdict("inconclusive", "No case was tried."), closed=()).why == "No case was tried."


@given(st.lists(st.sampled_from([HOLDS, FAILS, unclear(20), unclear(40, -0.1), unclear(None)]), min_size=6, max_size=6))
def test_after_so_many_draws_it_is_decided_and_not_before(findings):
    rule = at_least(4)
    found = outlook(*findings, rule=rule)
    if found is None or found.draws is None:
        return

    def after(draws):
        said = [
            {**one, "outcome": "holds" if one["difference"] > 0 else "fails"}
            if one["outcome"] == "unclear" and one["needed"] and one["needed"] <= draws
            else one
            for one in findings
        ]
        return rule.decide(asked(*said)).word

    assert after(found.draws) != "inconclusive"
    assert after(found.draws - 1) == "inconclusive"


# In words


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, ""),
        ({"draws": 40, "seconds": 600.0, "why": ""}, "16 more, which take about 10 min here."),
        ({"draws": 20, "seconds": None, "why": ""}, "About 20 draws of each task would probably decide it."),
        ({"draws": None, "seconds": None, "why": "the model does not learn CB in context"}, "The model does not learn"),
        ({"draws": 8, "seconds": None, "why": "no time was left"}, "No time was left."),
        ({"draws": None, "seconds": None, "why": ""}, ""),
    ],
)
def test_what_it_waits_for_is_a_sentence(found, said):
    words = outlook_words({"outlook": found, "looks": [{"draws": 8}, {"draws": 24}]})
    assert said in words
    assert bool(words) == bool(said)


def test_a_run_says_how_many_claims_more_time_would_decide():
    waits = [{"draws": 40, "seconds": 100.0}, {"draws": 400, "seconds": 1000.0}, {"draws": None, "seconds": None}]
    claims = [{"profile": "tiny", "outlook": one and {**one, "why": ""}} for one in (*waits, waits[0], None)]
    assert outlook_of_run(claims) == [
        "tiny: another 10 min would probably decide 2 of 4 undecided claims, 1 would take longer, 1 cannot be decided "
        "by draws alone"
    ]
    assert outlook_of_run([{"profile": "tiny", "outlook": None}]) == []


def test_what_was_spent_is_summed_by_profile():
    spent = [
        {"profile": "tiny", "task": "sst2", "trials": 3, "seconds": 20.0},
        {"profile": "tiny", "task": "cb", "trials": 5, "seconds": 40.0},
        {"profile": "embedded", "task": "cb", "trials": 1, "seconds": 300.0},
    ]
    assert spent_words(spent) == [
        "tiny: 8 trials in 60 s of processes (SST2 20 s, CB 40 s)",
        "embedded: 1 trials in 5 min of processes (CB 5 min)",
    ]
    assert spent_words([]) == []
