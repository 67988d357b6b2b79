"""What the authors' own runs say: how they are read, and what is known about them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from icl_claims.errors import ClaimError
from icl_claims.evidence.author_runs import RUNS, AuthorRunsEvidence, author_runs
from icl_claims.evidence.printed import PrintedEvidence, printed_tables
from icl_claims.methods import Clipping, Finetuning, InContext, LayerCausal, Linearized, SwitchedLabels, ZeroShot
from icl_claims.metrics import (
    RANDOM_UPDATE,
    rec2ftp,
    rpa,
    rpa_correct,
    rpa_incorrect,
    sim_am,
    sim_am_update,
    sim_aou,
)
from icl_claims.tasks.catalogue import TASKS
from icl_claims.theory.random_floor import sim_aou_floor

RUNS_SAY, TABLES_SAY = AuthorRunsEvidence(), PrintedEvidence("rethinking")
ZSL, FT, LC = ZeroShot(), Finetuning(), LayerCausal()
CLIPPED = LayerCausal(clip=Clipping(at=12.0))


def by_task(comparison):
    return {finding.task: finding for finding in comparison.findings}


def agreeing(comparison):
    return sum(int(finding.note.split(" of ")[0]) for finding in comparison.tasks)


def clipped(metric, norm, task="subj"):
    method = LC if norm is None else LayerCausal(clip=Clipping(at=norm))
    return by_task(RUNS_SAY.ask((metric(method) > 0.0).on(task)))[task].left


# How they are read


def test_a_difference_has_students_interval_over_draws():
    table = author_runs()
    overall = table[table["layer"].isna() & (table["metric"] == "sim_aou") & (table["run"] == "739958f")]
    values = overall[overall["task"] == "mr"].pivot_table(
        index=["seed", "permutation"], columns="method", values="value"
    )
    wanted = stats.ttest_rel(values["layer_causal"], values["finetuning"]).confidence_interval()
    got = by_task(RUNS_SAY.ask(sim_aou(LC) > sim_aou(FT)))["mr"]
    assert (got.low, got.high) == pytest.approx((wanted.low, wanted.high))
    assert (got.replicates, got.outcome, got.interval_kind) == (3, "holds", "Student's over draws")


def test_a_single_run_decides_nothing_however_many_digits_were_logged():
    got = by_task(RUNS_SAY.ask(sim_am(LC) < sim_am(ZSL)))["sst5"]
    assert (got.left, got.right, got.outcome) == (0.4039, 0.3913, "unclear")
    assert (got.low, got.high, got.p_holds) == (None, None, None)
    assert got.note == "one run; a239606, fp16"


def test_a_share_of_counts_shows_them():
    got = by_task(RUNS_SAY.ask(rec2ftp(FT) > 0.8))
    assert (got["sst5"].left, got["sst5"].outcome) == (7 / 11, "unclear")
    assert got["sst5"].note == "one run (7 of 11); 71c9116, fp32"


def test_an_undecided_task_says_how_many_runs_would_decide():
    got = by_task(RUNS_SAY.ask(sim_aou(LC) > sim_aou(FT)))["sst5"]
    assert got.outcome == "unclear"
    assert got.note.startswith("2 of 3 runs agree")
    assert 3 < got.needed < 20


def test_numbers_of_one_log_come_before_those_of_different_runs():
    standard = by_task(RUNS_SAY.ask(sim_am(FT) > sim_am(ZSL)))["sst2"]
    layer_causal = by_task(RUNS_SAY.ask(sim_am(LC) > sim_am(ZSL)))["sst2"]
    assert (standard.note, layer_causal.note) == ("one run; 71c9116, fp32", "one run; a239606, fp16")


def test_runs_of_different_precision_are_named():
    got = by_task(RUNS_SAY.ask(sim_am(LC) < sim_am(FT)))
    assert got["mr"].note == "one run; a239606, fp16 against 71c9116, fp32"
    assert got["cb"].outcome == "absent"


def test_a_random_update_belongs_to_its_method():
    table = author_runs()
    drawn = table[(table["method"] == "random_update") & (table["task"] == "cb") & (table["run"] == "739958f")]
    for method, log in ((FT, " ft "), (LC, " layer_causal_ft ")):
        got = by_task(RUNS_SAY.ask(sim_aou(method) > sim_aou(RANDOM_UPDATE)))["cb"]
        assert got.right == pytest.approx(drawn[drawn["log"].str.contains(log)]["value"].mean())


def test_a_share_of_the_depth_is_a_mean_over_its_layers():
    whole, lower, upper = (
        by_task(RUNS_SAY.ask(sim_aou(FT).at(layers) > 0.0))["cb"].left
        for layers in ((0.0, 1.0), (0.0, 0.25), (0.25, 1.0))
    )
    assert 0.25 * lower + 0.75 * upper == pytest.approx(whole, abs=1e-6)


def test_a_single_layer_can_be_asked_for():
    table = author_runs()
    third = table[(table["layer"] == 3) & (table["task"] == "mr") & (table["metric"] == "sim_aou")]
    got = by_task(RUNS_SAY.ask(sim_aou(LC).at((3 / 24, 4 / 24)) > 0.0))["mr"]
    assert got.left == pytest.approx(third[third["method"] == "layer_causal"]["value"].mean())


def test_equivalence_is_two_one_sided_tests_over_draws():
    wide, narrow = (RUNS_SAY.ask(sim_aou(LC).near(sim_aou(FT), within=share)) for share in (3.0, 0.01))
    assert by_task(wide)["cb"].outcome == "holds"
    assert by_task(narrow)["cb"].outcome == "fails"
    assert by_task(narrow)["sst5"].needed is None


def test_all_tasks_together_are_their_mean_draw_by_draw():
    table = author_runs()
    overall = table[table["layer"].isna() & (table["metric"] == "sim_aou") & (table["run"] == "739958f")]
    draws = overall.pivot_table(index=["task", "permutation"], columns="method", values="value")
    differences = (draws["layer_causal"] - draws["finetuning"]).unstack("permutation").mean()
    wanted = stats.ttest_1samp(differences, 0).confidence_interval()
    compared = RUNS_SAY.ask(sim_aou(LC) > sim_aou(FT))
    assert (compared.together.low, compared.together.high) == pytest.approx((wanted.low, wanted.high))
    alone = RUNS_SAY.ask(rpa(FT) < 0.5)
    assert (alone.together.outcome, alone.together.note) == ("unclear", "one task")


def test_a_reference_is_absent_and_an_unknown_quantity_refused():
    switched = RUNS_SAY.ask(sim_aou(FT, SwitchedLabels(InContext(), "cyclic")) > 0.0)
    assert {finding.outcome for finding in switched.findings} == {"absent"}
    for unknown in (sim_aou(Linearized()), sim_am(RANDOM_UPDATE), sim_aou(FT).of_weights("nothing")):
        with pytest.raises(ClaimError, match="The source author_runs holds no"):
            RUNS_SAY.ask(unknown > 0.0)


def test_a_method_of_another_rate_is_the_method_that_was_logged():
    theirs, faster = (RUNS_SAY.ask(sim_am(method) > 0.0) for method in (CLIPPED, replace(CLIPPED, learning_rate=0.5)))
    assert theirs.findings == faster.findings
    assert {finding.left for finding in theirs.findings} > {None}


def test_shares_agree_with_what_the_logs_printed():
    table = author_runs().set_index(["run", "task", "metric", "method", "seed"])["value"]
    assert table["005d8a6", "sst2", "rpa", "finetuning", 2] == pytest.approx(0.1684, abs=5e-5)
    assert table["005d8a6", "sst2", "rec2ftp", "finetuning", 2] == pytest.approx(0.9216, abs=5e-5)
    assert table["cf9dc4b", "subj", "rpa", "layer_causal", 5] == pytest.approx(0.8519, abs=5e-5)
    assert table["005d8a6", "sst2", "changed", "in_context", 2] == 262 / 872


def test_every_run_is_described():
    runs = RUNS_SAY.provenance()["runs"]
    assert [run["run"] for run in runs] == list(RUNS)
    assert runs[0]["seeds"] == [2, 3, 4, 5, 6, 7]


def test_the_final_runs_are_those_of_the_tasks():
    table = author_runs()
    final = table[table["run"] == "739958f"]
    for name, task in TASKS.items():
        drawn = final[final["task"] == name][["seed", "permutation"]].drop_duplicates().to_numpy()
        assert sorted(map(tuple, drawn)) == sorted(task.runs)


# What is known about them


def test_layer_causal_sim_aou_is_printed_higher_on_five_tasks():
    printed, runs = (source.ask(sim_aou(LC) > sim_aou(FT)) for source in (TABLES_SAY, RUNS_SAY))
    assert (printed.in_favour(), runs.in_favour()) == (5, 6)
    assert [finding.task for finding in printed.tasks if finding.outcome == "fails"] == ["sst5"]
    assert agreeing(runs) == 16


def test_its_direct_sim_am_is_lower_and_that_of_updates_higher():
    printed = TABLES_SAY.ask(sim_am(LC) < sim_am(FT))
    assert [finding.outcome for finding in printed.tasks] == ["holds"] * 6
    updates = RUNS_SAY.ask(sim_am_update(LC) > sim_am_update(FT))
    assert updates.in_favour() == 5
    assert by_task(updates)["agnews"].difference < 0
    assert agreeing(updates) == 15


def test_the_exception_on_sst5_rests_on_a_cell_that_no_run_gives():
    logged = RUNS_SAY.ask((sim_aou(FT) > 0.0).on("sst5")).tasks[0].left
    printed = by_task(TABLES_SAY.ask(sim_aou(LC) > sim_aou(FT)))["sst5"]
    assert printed.right == 0.113 > printed.left > logged
    table = author_runs()
    of_finetuning = table[table["layer"].isna() & (table["metric"] == "sim_aou") & (table["weights"] == "trained")]
    sst5 = of_finetuning[(of_finetuning["task"] == "sst5") & (of_finetuning["method"] == "finetuning")]
    assert sst5["value"].max() < 0.107


def test_the_printed_sim_aou_is_logged_for_mr_alone():
    table = author_runs()
    logged = table[table["layer"].isna() & (table["metric"] == "sim_aou") & (table["method"] == "finetuning")]
    for task, (seed, _) in {name: task.runs[0] for name, task in TASKS.items()}.items():
        figure = TABLES_SAY.figure(sim_aou(FT), task)
        runs = logged[(logged["task"] == task) & (logged["weights"] == "trained")]
        alike = runs[(runs["value"] - figure.value).abs() <= figure.unit / 2]
        assert set(alike["seed"]) == ({6} if task == "mr" else set())
        assert seed not in set(alike["seed"])


@pytest.mark.parametrize("metric", [sim_aou, sim_am], ids=lambda metric: metric.name)
def test_the_layer_causal_rows_of_table_2_are_those_of_one_run(metric):
    runs = author_runs().query("run == 'a239606' and metric == @metric.name and method == 'layer_causal'")
    for task in TASKS:
        overall = runs[(runs["task"] == task) & runs["layer"].isna()]["value"].item()
        assert overall == TABLES_SAY.figure(metric(LC), task).value


def test_clipping_helps_up_to_a_norm_and_then_hurts():
    sweep = {norm: clipped(sim_am, norm) for norm in (0.2, 0.5, 1.0, 2.0, 5.0, 7.0, 9.0, 12.0, 15.0)}
    assert max(sweep, key=sweep.get) == 9.0
    assert sweep[15.0] < clipped(sim_am, None) < sweep[12.0]
    assert sweep[12.0] == TABLES_SAY.figure(sim_am(CLIPPED), "subj").value


@pytest.mark.parametrize("task", ["sst2", "sst5"])
@pytest.mark.parametrize("metric", [sim_aou, sim_am], ids=lambda metric: metric.name)
def test_the_clip_that_helps_subj_hurts_sst2_and_sst5(metric, task):
    assert clipped(metric, 12.0, task) < clipped(metric, None, task)
    assert clipped(metric, 12.0) > clipped(metric, None)


def test_an_untrained_model_scores_as_much_on_three_tasks():
    compared = RUNS_SAY.ask(sim_aou(FT).of_weights("embeddings_norms_head") > sim_aou(FT))
    assert {f.task for f in compared.tasks if f.difference is not None and f.difference > 0} == {"sst2", "mr", "subj"}
    assert by_task(compared)["agnews"].outcome == "absent"


@pytest.mark.parametrize(
    ("layers", "mean"),
    [((0.0, 0.5), 0.163), ((0.5, 1.0), 0.206), ((0.0, 0.25), 0.120), ((0.25, 0.75), 0.230), ((0.75, 1.0), 0.159)],
)
def test_similarity_is_higher_above_but_highest_in_the_middle(layers, mean):
    together = RUNS_SAY.ask(sim_aou(FT).at(layers) > 0.0).together
    assert together.left == pytest.approx(mean, abs=5e-4)


def test_correct_changes_are_shared_more_on_five_printed_tasks():
    compared = TABLES_SAY.ask(rpa_correct(FT) > rpa_incorrect(FT))
    assert [finding.task for finding in compared.tasks if finding.outcome == "fails"] == ["sst5"]


def test_the_headline_similarity_lies_where_chance_can_reach():
    headline = printed_tables().query("task == 'average' and method == 'finetuning' and metric == 'sim_aou'")["value"]
    assert sim_aou_floor(1.0, 1.0) < headline.max() == 0.1901 < sim_aou_floor(3.0, 3.0)


def test_both_kinds_of_sim_am_are_never_one_quantity():
    table = author_runs()
    both = [set(table[table["metric"] == metric]["run"]) for metric in ("sim_am", "sim_am_update")]
    assert not both[0] & both[1]
    assert not np.isclose(by_task(RUNS_SAY.ask(sim_am_update(LC) > 0.0))["mr"].left, clipped(sim_am, None, "mr"))
