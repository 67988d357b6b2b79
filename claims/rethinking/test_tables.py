"""Rethinking, tables 1 to 4, and the tables of Revisited that repeat them: whether what is printed fits together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given

from icl_claims.claims import CaseRule, Comparison, Decide, at_least, rethinking
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.evidence.exact import ExactEvidence
from icl_claims.evidence.table_arithmetic import (
    OTHER_GAPS,
    PLAIN_GAP,
    accuracy_gap,
    averages,
    figures_printed_twice,
    percentages_are_counts,
)
from icl_claims.metrics import predictions as metrics
from icl_claims.metrics import rpa, rpa_correct, rpa_incorrect

from ..predicted_cases import Predictions, predictions
from ..quantities import FT

TO_A_UNIT = "to one unit in the last place"


@rethinking.claim(
    "avg-t2",
    where="table 2 (Revisited, table 1)",
    rule=CaseRule(f"holds for every printed average, {TO_A_UNIT}"),
    on="printed",
)
def test_averages_of_table_2_are_those_of_its_rows(evidence: TaskEvidence, decide: Decide) -> None:
    """The averages of SimAOU and SimAM of standard and layer-causal finetuning are those of the six tasks."""
    decide(averages(("rethinking", "2"), ("revisited", "1")))


@rethinking.claim(
    "avg-t4",
    where="table 4 (Revisited, table 3)",
    rule=CaseRule(f"holds for every printed average, {TO_A_UNIT}"),
    on="printed",
)
def test_averages_of_table_4_are_those_of_its_rows(evidence: TaskEvidence, decide: Decide) -> None:
    """The averages of SimAOU and SimAM of standard and linearised finetuning are those of the four tasks."""
    decide(averages(("rethinking", "4"), ("revisited", "3")))


@rethinking.claim(
    "tables-agree",
    where="tables 2, 3 and 4 (Revisited, tables 1, 2 and 3)",
    rule=CaseRule(f"holds for every two tables and every number in both, {TO_A_UNIT} that both print"),
    on="printed",
)
def test_numbers_printed_twice_are_the_same(evidence: TaskEvidence, decide: Decide) -> None:
    """A number that several tables print is the same in all of them."""
    decide(figures_printed_twice("rethinking", "revisited"))


@rethinking.claim(
    "percentages-are-counts",
    where="table 1",
    rule=CaseRule("holds for every task: some whole numbers of queries give all its figures, each cut or rounded"),
    on="printed",
)
def test_percentages_of_table_1_are_shares_of_whole_numbers(evidence: TaskEvidence, decide: Decide) -> None:
    """The accuracies and prediction alignments of a task are shares of the queries that it was asked."""
    decide(percentages_are_counts("rethinking", "1"))


@rethinking.claim(
    "icl-ft-acc-gap-19",
    where="section 3.3, table 1",
    rule=CaseRule("the accuracies give the printed percentage, to its last place"),
    on="printed",
)
def test_accuracies_differ_by_a_fifth_of_zero_shot(evidence: TaskEvidence, decide: Decide) -> None:
    """The accuracies of in-context learning and finetuning in table 1 differ by 19.38 % of the zero-shot accuracy, on
    average.
    """
    gap = "19.38"
    other_readings, dai = accuracy_gap("rethinking", gap, OTHER_GAPS), accuracy_gap("dai", gap, PLAIN_GAP)
    decide(accuracy_gap("rethinking", gap, PLAIN_GAP), beside=(other_readings, dai))


@rethinking.claim("rpa-between", where="section 3.3, table 1", rule=at_least(6), on="printed")
def test_printed_alignment_lies_between_its_parts(evidence: TaskEvidence, decide: Decide) -> None:
    """RPA lies between that of changes to the correct label and that of changes to an incorrect one."""
    decide(between(evidence.ask(rpa(FT) > rpa_incorrect(FT)), evidence.ask(rpa(FT) < rpa_correct(FT))))


@test_printed_alignment_lies_between_its_parts.claim.decided_on("exact")
def test_alignment_lies_between_its_parts(evidence: ExactEvidence, decide: Decide) -> None:
    """Whatever the predictions, RPA lies between that of correct and that of incorrect changes."""

    @given(predictions())
    def a_change_with_its_label_is_either_correct_or_incorrect(case: Predictions) -> None:
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


def alignment(case: Predictions, only: str) -> float:
    """RPA; NaN where neither method makes such a change."""
    column = metrics.rpa.values(case.in_context, case.finetuned, case.zero_shot, case.gold, only=only)
    return float(np.nanmean(column)) if np.isfinite(column).any() else np.nan


def inside(whole: float, parts: list[float]) -> bool:
    """Whether a share lies between those of its parts, where there are any."""
    told = [part for part in parts if not np.isnan(part)]
    return not told or min(told) - 1e-12 <= whole <= max(told) + 1e-12
