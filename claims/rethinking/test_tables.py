"""Rethinking, tables 1 to 4, and the tables of Revisited that repeat them: whether what is printed fits together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from predicted_cases import predictions
from quantities import RPA

from icl_claims.claims import CaseRule, Claim, Comparison, Quantity, TaskRule
from icl_claims.evidence.table_arithmetic import (
    OTHER_GAPS,
    PLAIN_GAP,
    accuracy_gap,
    averages,
    figures_printed_twice,
    percentages_are_counts,
)
from icl_claims.metrics import predictions as metrics

TO_A_UNIT = "to one unit in the last place"
RPA_CORRECT, RPA_INCORRECT = Quantity("rpa_correct", "finetuning"), Quantity("rpa_incorrect", "finetuning")

AVG_T2 = Claim(
    id="avg-t2",
    paper="rethinking",
    where="table 2 (Revisited, table 1)",
    statement="The averages of SimAOU and SimAM of standard and layer-causal finetuning are those of the six tasks.",
    rule=CaseRule(f"holds for every printed average, {TO_A_UNIT}"),
)
AVG_T4 = Claim(
    id="avg-t4",
    paper="rethinking",
    where="table 4 (Revisited, table 3)",
    statement="The averages of SimAOU and SimAM of standard and linearised finetuning are those of the four tasks.",
    rule=CaseRule(f"holds for every printed average, {TO_A_UNIT}"),
)
TABLES_AGREE = Claim(
    id="tables-agree",
    paper="rethinking",
    where="tables 2, 3 and 4 (Revisited, tables 1, 2 and 3)",
    statement="A number that several tables print is the same in all of them.",
    rule=CaseRule(f"holds for every two tables and every number in both, {TO_A_UNIT} that both print"),
)
PERCENTAGES_ARE_COUNTS = Claim(
    id="percentages-are-counts",
    paper="rethinking",
    where="table 1",
    statement="The accuracies and prediction alignments of a task are shares of the queries that it was asked.",
    rule=CaseRule("holds for every task: some whole numbers of queries give all its figures, each cut or rounded"),
)
RPA_BETWEEN = Claim(
    id="rpa-between",
    paper="rethinking",
    where="section 3.3, table 1",
    statement="RPA lies between that of changes to the correct label and that of changes to an incorrect one.",
    rule=TaskRule(6),
)
ICL_FT_ACC_GAP = Claim(
    id="icl-ft-acc-gap-19",
    paper="rethinking",
    where="section 3.3, table 1",
    statement="The accuracies of in-context learning and finetuning in table 1 differ by 19.38 % of the zero-shot "
    "accuracy, on average.",
    rule=CaseRule("the accuracies give the printed percentage, to its last place"),
)


@AVG_T2.decided_on("printed")
def test_averages_of_table_2_are_those_of_its_rows(evidence, decide):
    decide(averages(("rethinking", "2"), ("revisited", "1")))


@AVG_T4.decided_on("printed")
def test_averages_of_table_4_are_those_of_its_rows(evidence, decide):
    decide(averages(("rethinking", "4"), ("revisited", "3")))


@TABLES_AGREE.decided_on("printed")
def test_numbers_printed_twice_are_the_same(evidence, decide):
    decide(figures_printed_twice("rethinking", "revisited"))


@PERCENTAGES_ARE_COUNTS.decided_on("printed")
def test_percentages_of_table_1_are_shares_of_whole_numbers_of_queries(evidence, decide):
    decide(percentages_are_counts("rethinking", "1"))


@ICL_FT_ACC_GAP.decided_on("printed")
def test_accuracies_differ_by_a_fifth_of_zero_shot(evidence, decide):
    gap = "19.38"
    other_readings, dai = accuracy_gap("rethinking", gap, OTHER_GAPS), accuracy_gap("dai", gap, PLAIN_GAP)
    decide(accuracy_gap("rethinking", gap, PLAIN_GAP), beside=[other_readings, dai])


@RPA_BETWEEN.decided_on("printed")
def test_printed_alignment_lies_between_that_of_correct_and_incorrect_changes(evidence, decide):
    decide(between(evidence.compare(RPA, above=RPA_INCORRECT), evidence.compare(RPA, below=RPA_CORRECT)))


@RPA_BETWEEN.decided_on("exact")
def test_alignment_lies_between_that_of_correct_and_incorrect_changes(evidence, decide):
    @given(predictions())
    def a_change_with_its_label_is_either_correct_or_incorrect(case):
        whole, *parts = (alignment(case, only) for only in ("all", "correct", "incorrect"))
        evidence.check(inside(whole, parts), "RPA lies between RPA - Correct and RPA - Incorrect")

    decide(evidence.every(a_change_with_its_label_is_either_correct_or_incorrect))


def between(above_one: Comparison, below_other: Comparison) -> Comparison:
    """Whether a quantity lies between two others, whichever of them is the larger."""
    findings = []
    for lower, upper in zip(above_one.findings, below_other.findings, strict=True):
        told = {lower.outcome, upper.outcome} <= {"holds", "fails"}
        outcome = ("holds" if lower.outcome == upper.outcome else "fails") if told else lower.outcome
        note = f"between {upper.right:.3f} and {lower.right:.3f}" if told else lower.note
        findings.append(replace(lower, outcome=outcome, note=note, difference=None, low=None, high=None))
    question = f"{above_one.left} between {above_one.right} and {below_other.right}"
    return Comparison(question, tuple(findings), None, above_one.left, above_one.right)


def alignment(case, only: str) -> float:
    """RPA; NaN where neither method makes such a change."""
    column = metrics.rpa(case.in_context, case.finetuned, case.zero_shot, case.gold, only=only)
    return np.nanmean(column) if np.isfinite(column).any() else np.nan


def inside(whole: float, parts: list[float]) -> bool:
    """Whether a share lies between those of its parts, where there are any."""
    told = [part for part in parts if not np.isnan(part)]
    return not told or min(told) - 1e-12 <= whole <= max(told) + 1e-12
