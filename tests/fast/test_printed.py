"""What printed figures stand for, and what tables say about a comparison."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import EVERY_TASK, PAPERS, Comparison, Finding
from icl_claims.errors import ClaimError
from icl_claims.evidence.numbers import Numbers
from icl_claims.evidence.printed import (
    PrintedEvidence,
    PrintedFigure,
    difference_of,
    printed_tables,
    with_printed_numbers,
)
from icl_claims.methods import Finetuning, InContext, LayerCausal, Linearized, SwitchedLabels, ZeroShot
from icl_claims.metrics import RANDOM_UPDATE, accuracy, kendall, rec2ftp, rpa_correct, rpa_incorrect, sim_am, sim_aou
from icl_claims.statistics.error_rates import Errors
from icl_claims.tasks.catalogue import PAPERS_TASKS, TASKS

RETHINKING, REVISITED = PrintedEvidence("rethinking"), PrintedEvidence("revisited")
ZSL, ICL, FT, LC, LINEAR = ZeroShot(), InContext(), Finetuning(), LayerCausal(), Linearized()
RPA_CORRECT, RPA_INCORRECT = rpa_correct(FT), rpa_incorrect(FT)
RANDOM = sim_aou(RANDOM_UPDATE)
FOUR = ("sst2", "sst5", "mr", "subj")
PLACES = Decimal("0.001")


def by_task(comparison):
    return {finding.task: finding for finding in comparison.findings}


@pytest.mark.parametrize(
    ("quantity", "task", "value", "unit"),
    [
        (RPA_CORRECT, "sst5", 0.032, 0.001),
        (accuracy(FT), "sst2", 0.74, 0.01),
        (accuracy(ICL), "sst5", 0.45, 0.001),
        (sim_aou(FT), "sst5", 0.113, 0.001),
        (sim_aou(FT), "mr", 0.219, 0.0001),
    ],
)
def test_a_printed_figure_has_the_digits_that_were_printed(quantity, task, value, unit):
    figure = RETHINKING.figure(quantity, task)
    assert (figure.value, figure.unit) == pytest.approx((value, unit))


def test_a_figure_that_several_tables_print_is_that_of_the_first():
    figures = RETHINKING.figures(sim_aou(FT), "subj")
    assert [(one.table, one.value) for one in figures] == [("2", 0.1932), ("3", 0.1932), ("4", 0.193)]
    assert RETHINKING.figure(sim_aou(FT), "subj") == figures[0]


@pytest.mark.parametrize(
    "quantity",
    [
        rec2ftp(FT),
        sim_aou(FT).of_weights("embeddings_norms_head"),
        sim_aou(FT).at((0.5, 1.0)),
        sim_aou(FT, SwitchedLabels(ICL, "cyclic")),
    ],
    ids=str,
)
def test_what_is_not_printed_has_no_figure(quantity):
    assert RETHINKING.figures(quantity, "sst2") == ()
    assert RETHINKING.figure(quantity, "sst2") is None


@given(st.integers(-300, 300), st.integers(-300, 300), st.sampled_from([1, 10]))
def test_figures_of_a_table_tell_where_no_reading_objects(first, second, coarser):
    mine, other = PrintedFigure(first / 1000, 0.001, "1"), PrintedFigure(coarser * second / 1000, coarser / 1000, "1")
    outcome = Numbers("sst2", interval=difference_of(mine, other)).finding(sim_aou(FT) > RANDOM, Errors()).outcome
    ways = [(0.0, 1.0), (-0.5, 0.5)]
    above = [first + start >= coarser * (second + end) for start, end in ways]
    below = [first + end <= coarser * (second + start) for start, end in ways]
    assert outcome == ("holds" if all(above) else "fails" if all(below) else "unclear")


@given(st.decimals(-1, 1, places=6), st.decimals(-1, 1, places=6), st.sampled_from([ROUND_DOWN, ROUND_HALF_UP]))
def test_the_interval_holds_the_difference_before_printing(first, second, way):
    first, second = abs(first), abs(second)
    printed = [PrintedFigure(float(number.quantize(PLACES, way)), float(PLACES), "1") for number in (first, second)]
    interval = difference_of(*printed)
    assert interval.low - 1e-8 <= float(first - second) <= interval.high + 1e-8


def test_figures_of_two_tables_may_be_read_each_in_its_own_way():
    mine = PrintedFigure(0.002, 0.001, "1")
    same, other = (difference_of(mine, PrintedFigure(0.001, 0.001, table)) for table in ("1", "2"))
    assert (same.low, same.high) == pytest.approx((0.0, 0.002), abs=1e-8)
    assert (other.low, other.high) == pytest.approx((-0.0005, 0.0025), abs=1e-8)


@pytest.mark.parametrize(
    ("left", "right", "task", "outcome"),
    [
        (accuracy(ZSL), accuracy(FT), "sst5", "unclear"),  # 39.3 and 39.4, of 1101 queries each: one more is right
        (sim_am(LINEAR), sim_am(FT), "sst5", "holds"),  # .403 and .404, both in table 4
        (RPA_CORRECT, RPA_INCORRECT, "sst5", "holds"),  # 3.2 and 3.5
        (sim_aou(FT), 0.21895, "mr", "unclear"),  # .2190, which may have been .21895
        (sim_aou(FT), 0.2191, "mr", "holds"),
    ],
)
def test_figures_a_unit_apart_tell_and_the_interval_says_so(left, right, task, outcome):
    found = by_task(RETHINKING.ask(left < right))[task]
    assert found.outcome == outcome
    assert (found.high < 0) == (outcome == "holds")


def test_a_figure_does_not_tell_what_it_may_stand_for():
    found = by_task(REVISITED.ask(sim_aou(FT) > 0.113))["sst5"]
    assert (found.outcome, found.note) == ("unclear", "the printed digits do not tell")
    assert (found.low, found.high) == pytest.approx((-0.0005, 0.001), abs=1e-8)


def test_figures_of_one_table_are_compared_where_one_prints_both():
    found = by_task(RETHINKING.ask((sim_am(LINEAR) < sim_am(FT)).on(*FOUR)))
    assert (found["sst5"].left, found["sst5"].right) == (0.403, 0.404)  # and not with the .4047 of table 2


def test_a_comparison_read_the_other_way_is_turned_over():
    turned = {"holds": "fails", "fails": "holds", "unclear": "unclear", "absent": "absent"}
    asked = RPA_CORRECT > RPA_INCORRECT, RPA_CORRECT < RPA_INCORRECT, ~(RPA_CORRECT > RPA_INCORRECT)
    up, down, denied = ([finding.outcome for finding in RETHINKING.ask(one).findings] for one in asked)
    assert [turned[outcome] for outcome in up] == down == denied


@pytest.mark.parametrize(
    ("within", "outcomes"),
    [(0.3, ["holds", "holds", "holds", "holds"]), (0.003, ["fails", "unclear", "fails", "fails"])],
)
def test_equivalence_is_read_from_all_that_figures_can_mean(within, outcomes):
    compared = RETHINKING.ask(sim_am(LINEAR).near(sim_am(FT), within=within).on(*FOUR))
    assert [finding.outcome for finding in compared.tasks] == outcomes
    assert compared.upwards is None


# All tasks together


@pytest.mark.parametrize(
    ("left", "tasks", "table", "printed"),
    [
        (sim_aou(LC), tuple(TASKS), "2", (0.2791, 0.1901)),
        (sim_aou(LINEAR), FOUR, "4", (0.130, 0.158)),
        (sim_aou(LINEAR), tuple(TASKS), "4", (0.130, 0.158)),
    ],
)
def test_the_printed_average_speaks_for_all_tasks(left, tasks, table, printed):
    together = RETHINKING.ask((left > sim_aou(FT)).on(*tasks)).together
    assert (together.left, together.right) == printed
    assert together.note == f"the average that table {table} prints"


def test_without_a_printed_average_the_mean_speaks():
    compared = RETHINKING.ask(accuracy(ICL) > accuracy(FT))
    assert compared.together.difference == pytest.approx(sum(f.difference for f in compared.tasks) / 6)
    assert compared.together.note == "the mean of 6 printed figures; no average is printed"


def test_an_average_over_other_tasks_is_not_taken():
    two = RETHINKING.ask((sim_aou(LC) > sim_aou(FT)).on("sst2", "mr"))
    assert two.together.left == pytest.approx((0.2297 + 0.3299) / 2)


# What is there to be asked


UNKNOWN = kendall(FT), sim_aou(SwitchedLabels(FT, "cyclic"))


@pytest.mark.parametrize(
    ("question", "unknown"), [(UNKNOWN[0] > RANDOM, UNKNOWN[0]), (sim_aou(FT) > UNKNOWN[1], UNKNOWN[1])], ids=str
)
def test_what_no_table_prints_is_refused_with_what_is_printed(question, unknown):
    with pytest.raises(ClaimError, match=f"The source printed holds no {unknown.name}") as found:
        RETHINKING.ask(question)
    assert "sim_aou of finetuning" in str(found.value)


def test_a_printed_quantity_of_an_untrained_model_is_absent():
    compared = RETHINKING.ask(sim_aou(FT) > sim_aou(FT).of_weights("embeddings_norms_head"))
    assert {(finding.outcome, finding.note) for finding in compared.tasks} == {("absent", "not printed")}
    assert compared.together.outcome == "absent"


def test_every_printed_cell_is_known_and_no_percentage():
    table = printed_tables()
    assert set(table["paper"]) <= set(PAPERS)
    assert set(table["task"]) <= {*TASKS, "average"}
    assert table["value"].between(-1, 1).all()
    assert not table.duplicated(["paper", "table", "task", "method", "metric", "weights"]).any()


def test_trials_are_shown_beside_what_the_paper_printed():
    left, right = sim_aou(LC), sim_aou(FT)
    findings = (Finding("mr", "holds"), Finding("cb", "holds"), Finding(EVERY_TASK, "holds"))
    mr, cb, together = with_printed_numbers(Comparison("?", findings, True, left, right), "rethinking").findings
    assert (mr.printed, cb.printed) == pytest.approx((0.3299 - 0.2190, 0.3435 - 0.2013))
    assert together.printed is None  # the printed average is over six tasks
    all_tasks = (*(Finding(task, "holds") for task in TASKS), Finding(EVERY_TASK, "holds"))
    shown = with_printed_numbers(Comparison("?", all_tasks, True, left, right), "rethinking")
    assert shown.together.printed == pytest.approx(0.2791 - 0.1901)


def test_accuracies_are_as_uncertain_as_the_counts_behind_them():
    """Table 1 prints shares of known numbers of queries; of CB's 56 a difference of 7 points tells nothing."""
    found = {one.task: one for one in RETHINKING.ask(accuracy(ICL) > accuracy(FT)).findings}
    assert {one.interval_kind for one in found.values()} == {"binomial"}
    assert [task for task in PAPERS_TASKS if found[task].outcome != "holds"] == ["cb"]
    assert "56 queries" in found["cb"].note
    wider = RETHINKING.ask((accuracy(ICL) > accuracy(FT)).allowing(Errors(0.001, 0.001))).tasks[0]
    assert wider.low < found["sst2"].low < found["sst2"].high < wider.high
    other = PrintedEvidence("dai").ask(accuracy(ICL) > accuracy(ZeroShot())).tasks[0]
    assert other.interval_kind == "rounding", "whose queries are not known"
