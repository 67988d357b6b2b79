"""Averages, figures printed twice, and the whole numbers behind percentages."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_claims.evidence.printed import printed_tables
from icl_claims.evidence.table_arithmetic import (
    OTHER_GAPS,
    PLAIN_GAP,
    QUERIES,
    READINGS,
    accuracy_gap,
    averages,
    counts_behind,
    figures_printed_twice,
    percentages_are_counts,
)
from icl_claims.metrics import rpa
from icl_claims.tasks.catalogue import TASKS

WAYS = {"rounded": ROUND_HALF_UP, "cut": ROUND_DOWN}


def cells_of(task):
    table = printed_tables().query("paper == 'rethinking' and table == '1' and task == @task")
    return {(row.metric, row.method): row.printed for row in table.itertuples()}


def labels_said(of_kinds):
    """The labels that zero-shot, in-context learning and finetuning give to each query; 0 is the true one."""
    said = [kind for kind, number in of_kinds.items() for _ in range(number)]
    return np.array(said, dtype=int).reshape(-1, 3).T


def percentages(zero_shot, in_context, finetuned):
    """The shares of table 1, exactly, changes being counted with their labels."""
    one, other = (
        {(query, int(by[query])) for query in np.flatnonzero(by != zero_shot)} for by in (in_context, finetuned)
    )
    kinds = {"rpa": lambda _: True, "rpa_correct": lambda new: new == 0, "rpa_incorrect": lambda new: new != 0}
    shares = {}
    for metric, wanted in kinds.items():
        shared, either = (sum(wanted(new) for _, new in found) for found in (one & other, one | other))
        shares[metric, "finetuning"] = Decimal(100 * shared) / either if either else None
    for method, by in (("zero_shot", zero_shot), ("in_context", in_context), ("finetuning", finetuned)):
        shares["accuracy", method] = Decimal(100 * int((by == 0).sum())) / len(by)
    return {cell: share for cell, share in shares.items() if share is not None}


@pytest.mark.parametrize("task", TASKS)
def test_the_numbers_found_give_every_printed_percentage(task):
    printed = cells_of(task)
    found = counts_behind(printed, QUERIES[task], TASKS[task].labels)
    said = labels_said(found.of_kinds)
    assert said.shape[1] == QUERIES[task]
    ways = WAYS.values() if found.reading == "cut or rounded" else [WAYS[found.reading]]
    for cell, share in percentages(*said).items():
        places = Decimal(10) ** Decimal(printed[cell]).as_tuple().exponent
        assert Decimal(printed[cell]) in {share.quantize(places, way) for way in ways}
    assert tuple((said == 0).sum(axis=1)) == (found.right[0], found.right[1], found.right[2])


@pytest.mark.parametrize("task", TASKS)
def test_the_alignments_are_those_of_our_metric(task):
    found = counts_behind(cells_of(task), QUERIES[task], TASKS[task].labels)
    zero_shot, in_context, finetuned = labels_said(found.of_kinds)
    for only, (shared, either) in {"correct": found.corrections, "incorrect": found.errors}.items():
        column = rpa.values(in_context, finetuned, zero_shot, np.zeros_like(zero_shot), only=only)
        assert (np.nansum(column), np.isfinite(column).sum()) == (shared, either)


@settings(max_examples=25)
@given(st.integers(2, 4), st.sampled_from(["rounded", "cut"]), st.data())
def test_percentages_of_real_predictions_are_always_explained(labels, reading, data):
    queries = data.draw(st.integers(3, 40))
    column = st.lists(st.integers(0, labels - 1), min_size=queries, max_size=queries).map(np.array)
    shares = percentages(*(data.draw(column) for _ in range(3)))
    printed = {cell: str(share.quantize(Decimal("0.1"), WAYS[reading])) for cell, share in shares.items()}
    found = counts_behind(printed, queries, labels)
    assert found is not None
    assert list(READINGS).index(found.reading) <= list(READINGS).index(reading)


def test_percentages_that_no_numbers_give_are_not_explained():
    printed = cells_of("cb") | {("accuracy", "finetuning"): "58.1"}  # 32 of 56 are 57.1 %, and 33 are 58.9 %
    assert counts_behind(printed, QUERIES["cb"], 3) is None


def test_on_cb_there_is_one_way_and_it_is_that_of_the_logs():
    found = counts_behind(cells_of("cb"), 56, 3)
    assert found.alone
    assert (found.right, found.corrections, found.errors) == ((21, 28, 32), (22, 24), (14, 21))


def test_on_mr_figures_of_one_column_are_cut_and_rounded():
    found = counts_behind(cells_of("mr"), 1066, 2)
    assert (found.reading, found.alone) == ("cut or rounded", True)
    shared, either = (a + b for a, b in zip(found.corrections, found.errors, strict=True))
    assert 100 * shared / either == pytest.approx(34.07, abs=0.01)  # printed as 34.0
    assert 100 * found.corrections[0] / found.corrections[1] == pytest.approx(40.18, abs=0.01)  # printed as 40.2


def test_every_task_of_table_1_has_its_numbers():
    assert [f.outcome for f in percentages_are_counts("rethinking", "1").findings] == ["holds"] * 6


@pytest.mark.parametrize(
    ("tables", "cut"),
    [((("rethinking", "2"), ("revisited", "1")), 7), ((("rethinking", "4"), ("revisited", "3")), 6)],
)
def test_averages_are_those_of_their_rows_and_mostly_cut(tables, cut):
    findings = averages(*tables).findings
    assert len(findings) == 12
    assert {finding.outcome for finding in findings} == {"holds"}
    assert sum(finding.note == "cut, not rounded" for finding in findings) == cut


def test_figures_printed_twice_differ_by_a_unit_at_most():
    found = {finding.task: finding for finding in figures_printed_twice("rethinking", "revisited").findings}
    assert {finding.outcome for finding in found.values()} == {"holds"}
    again = found["rethinking, table 2, and revisited, table 1"]
    assert again.note.startswith("42 figures, 41 of them equal")
    assert found["rethinking, table 4, and revisited, table 3"].note == "30 figures, 30 of them equal"
    assert "SimAM of zero-shot on SST2, 0.5546 and 0.5547" in found["rethinking, table 2, and rethinking, table 4"].note


def test_accuracies_differ_by_21_percent_and_dais_by_19():
    (ours,), (dais,) = (accuracy_gap(paper, "19.38", PLAIN_GAP).findings for paper in ("rethinking", "dai"))
    assert (ours.left, dais.left) == pytest.approx((0.2143, 0.19383), abs=5e-5)
    assert (ours.outcome, dais.outcome) == ("fails", "holds")
    assert ours.low > 0


def test_no_other_reading_gives_the_printed_19_percent():
    others = accuracy_gap("rethinking", "19.38", OTHER_GAPS)
    assert "holds" not in {finding.outcome for finding in others.findings}
    signed = {finding.task: finding.left for finding in others.findings}["signed mean, relative to zero-shot"]
    assert signed == pytest.approx(0.1512, abs=5e-5)


def test_a_gap_is_as_uncertain_as_the_digits_of_the_accuracies():
    (found,) = accuracy_gap("rethinking", "21.5", PLAIN_GAP).findings
    assert found.outcome == "holds"
    (near,) = accuracy_gap("rethinking", "21.8", PLAIN_GAP).findings
    assert (near.outcome, near.low < 0 < near.high) == ("unclear", True)
