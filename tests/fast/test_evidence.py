"""What a source of evidence can be asked, and what our own trials and mathematics answer."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from icl_claims.evidence.comparison import AbsentEvidence, direction, judge

from icl_claims.claims import EVERY_TASK, Quantity, TaskRule
from icl_claims.errors import ClaimError
from icl_claims.evidence.exact import DisagreementError, ExactEvidence
from icl_claims.evidence.trials import TrialsEvidence
from icl_claims.experiments.result import TrialResult
from icl_claims.statistics.intervals import Interval, bootstrap_difference, seeds_interval
from icl_claims.tasks.catalogue import TASKS

ACCURACY = {method: Quantity("accuracy", method) for method in ("zero_shot", "in_context", "finetuning")}
SIM_AOU, RANDOM = Quantity("sim_aou", "finetuning"), Quantity("sim_aou", "random_update")


def by_task(comparison):
    return {finding.task: finding for finding in comparison.findings}


# Comparisons


@pytest.mark.parametrize(("above", "below"), [(None, None), (0.0, 0.0), (RANDOM, 0.5)])
def test_a_comparison_has_one_side(above, below):
    with pytest.raises(ClaimError, match="either `above` or `below`, got both or neither"):
        direction(above, below)


def test_a_comparison_with_zero_is_a_comparison():
    assert direction(0.0, None) == (0.0, True)
    assert direction(None, 0.0) == (0.0, False)


@pytest.mark.parametrize(
    ("low", "high", "upwards", "downwards"),
    [
        (0.1, 0.2, "holds", "fails"),
        (-0.2, -0.1, "fails", "holds"),
        (-0.1, 0.1, "unclear", "unclear"),
        (0.0, 0.1, "unclear", "unclear"),
        (np.nan, np.nan, "unclear", "unclear"),
    ],
)
def test_an_outcome_is_read_from_the_whole_interval(low, high, upwards, downwards):
    interval = Interval((low + high) / 2, low, high)
    assert (judge(interval, True), judge(interval, False)) == (upwards, downwards)


def test_absent_evidence_says_why_for_every_task_and_is_not_run():
    compared = AbsentEvidence("trials", "no CUDA device").compare(SIM_AOU, above=RANDOM)
    assert [(f.task, f.outcome, f.note) for f in compared.tasks] == [(t, "absent", "no CUDA device") for t in TASKS]
    verdict = TaskRule(5).decide(compared)
    assert (verdict.word, verdict.why) == ("not run", "no CUDA device")


def test_absent_evidence_refuses_a_senseless_comparison_too():
    with pytest.raises(ClaimError):
        AbsentEvidence("trials", "no CUDA device").compare(SIM_AOU)


# Trials


def trial(task="sst2", *, seed=0, icl=None, ft=None, zsl=None, gold=None, failures=None, by_layer=None, n=60):
    """A result in which a method's prediction is certain; by default in-context learning is always right."""
    labels = TASKS[task].labels
    gold = np.arange(n) % labels if gold is None else np.asarray(gold)
    predicted = {
        "zero_shot": np.zeros_like(gold) if zsl is None else zsl,
        "in_context": gold if icl is None else icl,
        "finetuning": gold if ft is None else ft,
    }
    stream = np.random.default_rng(seed)
    measured = {
        "sim_aou/finetuning": 0.3 + 0.1 * stream.normal(size=(len(gold), 2)),
        "sim_aou/random_update": 0.01 * stream.normal(size=(len(gold), 2)),
    }
    answered = {
        name: np.log(np.eye(labels)[p] * 0.9 + 0.01) for name, p in predicted.items() if name not in (failures or {})
    }
    return TrialResult(
        spec={
            "seed": seed,
            "calibration": "none",
            "agreement": "same_label",
            "k": 4,
            "permutation": 0,
            "probe": "label_token",
        },
        query_rows=np.arange(len(gold)),
        gold=gold,
        log_probabilities=answered,
        content_free={name: np.zeros((1, labels)) for name in answered},
        by_layer=measured if by_layer is None else by_layer,
        failures=failures or {},
        provenance={"model": "tiny"},
    )


def finding(result, left, task="sst2", **sides):
    results = list(result) if isinstance(result, tuple) else [result]
    return by_task(TrialsEvidence({task: results}).compare(left, **sides))[task]


def test_a_difference_of_similarities_is_a_paired_bootstrap_over_queries():
    result = trial()
    got = finding(result, SIM_AOU, above=RANDOM)
    columns = [[result.column(q.metric, q.method)] for q in (SIM_AOU, RANDOM)]
    wanted = bootstrap_difference(*columns, seed=0)
    assert (got.difference, got.low, got.high) == (wanted.estimate, wanted.low, wanted.high)
    assert (got.left, got.right) == pytest.approx([column[0].mean() for column in columns])
    assert (got.outcome, got.queries) == ("holds", 60)


def test_a_task_that_was_not_run_is_absent():
    compared = TrialsEvidence({"sst2": [trial()]}).compare(SIM_AOU, above=RANDOM)
    assert {f.task: f.outcome for f in compared.tasks} == {
        task: "holds" if task == "sst2" else "absent" for task in TASKS
    }


def test_trials_of_several_seeds_count_alike():
    got = finding((trial(seed=1), trial(seed=2, n=20)), SIM_AOU, above=RANDOM)
    means = [trial(seed=1), trial(seed=2, n=20)]
    difference = np.mean(
        [(r.by_layer["sim_aou/finetuning"] - r.by_layer["sim_aou/random_update"]).mean() for r in means]
    )
    assert got.difference == pytest.approx(difference)
    assert got.queries == 80


def test_where_in_context_learning_does_not_beat_chance_claims_about_predictions_are_unclear():
    unlearned = trial(icl=np.zeros(60, dtype=int))
    got = finding(unlearned, ACCURACY["finetuning"], above=ACCURACY["in_context"])
    assert got.outcome == "unclear"
    assert got.note == "in-context learning does not beat chance (accuracy 0.50, most frequent 0.50)"
    assert got.difference == pytest.approx(0.5)


def test_where_it_does_not_claims_about_attention_are_decided_all_the_same():
    assert finding(trial(icl=np.zeros(60, dtype=int)), SIM_AOU, above=RANDOM).outcome == "holds"


def test_always_giving_the_most_frequent_label_does_not_beat_chance():
    gold = np.array([1] * 50 + [0] * 10)
    got = finding(trial(gold=gold, icl=np.ones(60, dtype=int)), ACCURACY["finetuning"], above=ACCURACY["in_context"])
    assert "most frequent 0.83" in got.note


def test_where_it_beats_chance_claims_about_predictions_are_decided():
    wrong = trial(ft=1 - np.arange(60) % 2)
    assert finding(wrong, ACCURACY["in_context"], above=ACCURACY["finetuning"]).outcome == "holds"
    assert finding(wrong, ACCURACY["in_context"], below=ACCURACY["finetuning"]).outcome == "fails"


def test_a_method_that_diverged_is_absent_with_its_reason():
    broken = trial(failures={"finetuning": "finetuning diverged at step 3"}, by_layer={})
    got = finding(broken, ACCURACY["in_context"], above=ACCURACY["finetuning"])
    assert (got.outcome, got.note) == ("absent", "finetuning diverged at step 3")
    assert finding(broken, ACCURACY["in_context"], above=ACCURACY["zero_shot"]).outcome == "holds"


def test_one_seed_that_diverged_makes_its_task_absent():
    broken = trial(failures={"finetuning": "diverged"}, by_layer={})
    assert finding((trial(), broken), SIM_AOU, above=RANDOM).outcome == "absent"


def test_a_metric_that_counts_no_query_is_unclear():
    nothing_changes = trial(ft=np.zeros(60, dtype=int))
    got = finding(nothing_changes, Quantity("rec2ftp", "finetuning"), above=0.5)
    assert (got.outcome, got.note, got.queries) == ("unclear", "no query counts", 0)
    assert got.left is None
    assert got.difference is None


@pytest.mark.parametrize("sides", [(Quantity("charm", "finetuning"), 0.5), (SIM_AOU, Quantity("charm", "finetuning"))])
def test_a_metric_that_there_is_not_is_refused(sides):
    left, right = sides
    with pytest.raises(ClaimError, match=r"trials evidence holds no charm of finetuning.*expected one of accuracy"):
        finding(trial(), left, above=right)


@pytest.mark.parametrize("metric", ["sim_aou", "accuracy"])
@pytest.mark.parametrize("overall", [True, False])
def test_a_method_that_was_not_run_is_absent_and_not_unclear(metric, overall):
    layer_causal = Quantity(metric, "layer_causal")
    compared = TrialsEvidence({"sst2": [trial()]}).compare(layer_causal, above=0.5)
    got = by_task(compared)["sst2"]
    assert (got.outcome, got.note) == ("absent", f"{metric} of layer_causal was not measured")
    assert TaskRule(5, overall=overall).decide(compared).word == "not run"


def test_all_tasks_together_weigh_alike():
    results = {"sst2": [trial("sst2", n=40)], "cb": [trial("cb", n=90, ft=np.zeros(90, dtype=int))]}
    changed = [Quantity("changed", method) for method in ("in_context", "finetuning")]
    asked = TrialsEvidence(results).compare(changed[0], above=changed[1], tasks=("sst2", "cb"))
    together = by_task(asked)[EVERY_TASK]
    assert together.difference == pytest.approx((0 + 2 / 3) / 2)
    assert (together.note, together.queries) == ("over 2 tasks", 130)
    assert together.left - together.right == pytest.approx(together.difference)


def test_a_failure_of_another_method_does_not_take_a_task_out_of_all_together():
    results = {"sst2": [trial(failures={"finetuning": "diverged"}, by_layer={})]}
    compared = TrialsEvidence(results).compare(ACCURACY["in_context"], above=ACCURACY["zero_shot"])
    assert by_task(compared)[EVERY_TASK].note.startswith("over 1 of 6 tasks")


def test_a_task_without_learning_does_not_count_towards_predictions_on_all_tasks():
    results = {"sst2": [trial()], "mr": [trial("mr", icl=np.zeros(60, dtype=int))]}
    predictions, attention = (
        by_task(TrialsEvidence(results).compare(left, above=right, tasks=("sst2", "mr")))[EVERY_TASK]
        for left, right in ((ACCURACY["in_context"], ACCURACY["zero_shot"]), (SIM_AOU, RANDOM))
    )
    assert predictions.note == "over 1 of 2 tasks: the others could turn it"
    assert attention.note == "over 2 tasks"


def test_a_mean_over_some_of_the_tasks_does_not_decide():
    results = {task: [trial(task)] for task in ("sst2", "sst5", "mr", "subj", "agnews")}
    question = {"left": ACCURACY["in_context"], "above": ACCURACY["zero_shot"]}
    of_five, of_six = (
        by_task(TrialsEvidence(held).compare(question["left"], above=question["above"]))[EVERY_TASK]
        for held in (results, {**results, "cb": [trial("cb")]})
    )
    assert of_five.outcome == "unclear"
    assert of_five.low is None or of_five.low > 0
    assert of_six.note == "over 6 tasks"


def test_seeds_and_queries_do_not_make_a_guess_beat_chance():
    generator = np.random.default_rng(0)
    opened = 0
    for _ in range(100):
        gold = (generator.random(128) < 0.4).astype(int)
        guesses = [(generator.random(128) < 0.0).astype(int) for _ in range(3)]
        lucky = [np.where(generator.random(128) < 0.1, generator.integers(0, 2, 128), guess) for guess in guesses]
        trials = tuple(trial(gold=gold, icl=guess, n=128) for guess in lucky)
        opened += finding(trials, ACCURACY["in_context"], above=ACCURACY["zero_shot"]).note.find("beat chance") < 0
    assert opened <= 10


def test_where_no_task_counts_all_together_are_unclear():
    together = TrialsEvidence({}).compare(ACCURACY["in_context"], above=0.5).together
    assert (together.task, together.outcome, together.note) == (EVERY_TASK, "unclear", "no task counts")


def test_a_share_of_the_depth_is_a_mean_over_its_layers():
    by_layer = {"sim_aou/finetuning": np.tile([0.1, 0.2, 0.3, 0.4], (60, 1))}
    got = finding(trial(by_layer=by_layer), replace(SIM_AOU, layers=(0.5, 1)), above=replace(SIM_AOU, layers=(0, 0.5)))
    assert (got.left, got.right, got.outcome) == (pytest.approx(0.35), pytest.approx(0.15), "holds")


def test_what_has_one_value_a_trial_is_compared_over_trials():
    drifts = (0.11, 0.12, 0.14)
    results = tuple(replace(trial(seed=n), drift={"finetuning": np.array([d])}) for n, d in enumerate(drifts))
    got, wanted = finding(results, Quantity("drift", "finetuning"), above=0.1), seeds_interval([0.01, 0.02, 0.04])
    assert (got.low, got.high) == pytest.approx((wanted.low, wanted.high))
    alone = finding(results[0], Quantity("drift", "finetuning"), above=0.1)
    assert (alone.outcome, alone.low, alone.note) == ("unclear", None, "one draw, and one number a draw")


@pytest.mark.parametrize(("share", "outcome"), [(0.5, "holds"), (0.05, "fails"), (0.2, "unclear")])
def test_quantities_are_equal_where_the_interval_lies_within_a_share(share, outcome):
    noise = 0.02 * np.random.default_rng(0).normal(size=(60, 1))
    by_layer = {"sim_aou/linearized": 0.4 + noise, "sim_aou/finetuning": np.full((60, 1), 0.5)}
    evidence = TrialsEvidence({"sst2": [trial(by_layer=by_layer)]})
    compared = evidence.equivalent(Quantity("sim_aou", "linearized"), SIM_AOU, within=share)
    assert by_task(compared)["sst2"].outcome == outcome
    assert compared.upwards is None


def test_an_undecided_task_says_what_would_decide_and_what_would_have_been_found():
    column = np.concatenate([np.ones(29), -np.ones(31)])[:, None]
    got = finding(trial(by_layer={"sim_aou/finetuning": column}), SIM_AOU, below=0.0)
    assert (got.outcome, got.note) == ("unclear", "the interval does not decide")
    assert got.needed > 60
    assert got.detectable > abs(got.difference)


def test_another_study_is_asked_only_for_quantities_that_name_it():
    asked = []
    untrained = replace(SIM_AOU, study="untrained")
    evidence = TrialsEvidence({"sst2": [trial()]}, study=lambda name: asked.append(name) or {})
    evidence.compare(SIM_AOU, above=RANDOM)
    assert asked == []
    got = by_task(evidence.compare(SIM_AOU, above=untrained))["sst2"]
    assert (got.outcome, got.note) == ("absent", "not run without --claims-studies untrained")
    assert set(asked) == {"untrained"}


def test_the_table_is_tidy():
    result = trial()
    table = TrialsEvidence({"sst2": [result]}).table()
    assert set(table.columns) == {"source", "model", "task", "seed", "method", "metric", "layer", "query", "value"}
    assert (table["query"].isna() != table["layer"].isna()).all()
    assert set(table["source"]) == {"trials"}
    assert set(table["model"]) == {"tiny"}
    chosen = table[(table["metric"] == "sim_aou") & (table["method"] == "finetuning")]
    by_query, by_layer = chosen[chosen["layer"].isna()], chosen[chosen["query"].isna()]
    np.testing.assert_allclose(by_query["value"].astype(float), result.by_layer["sim_aou/finetuning"].mean(axis=1))
    np.testing.assert_allclose(by_layer["value"].astype(float), result.by_layer["sim_aou/finetuning"].mean(axis=0))
    assert not pd.isna(table[table["metric"] == "accuracy"]["value"]).any()


ASKED = np.arange(60)
# Of six queries in turn: both change to one label, to different ones, only one method changes, none does (three).
LABELS = {"zsl": np.zeros(60, dtype=int), "gold": np.where(ASKED % 6 < 3, 1, 0)}
LABELS |= {"icl": LABELS["gold"], "ft": np.choose(ASKED % 6, [1, 2, 0, 0, 0, 0])}


def test_a_query_that_two_methods_change_differently_is_two_changes_and_one_query():
    got = finding(trial("cb", **LABELS), Quantity("rpa", "finetuning"), "cb", below=0.9)
    assert (got.left, got.queries, got.outcome) == (pytest.approx(10 / 40), 30, "holds")
    parts = [Quantity(f"rpa_{part}", "finetuning") for part in ("correct", "incorrect")]
    got = finding(trial("cb", **LABELS), parts[0], "cb", above=parts[1])
    assert (got.left, got.right, got.queries) == (pytest.approx(10 / 30), 0.0, 30)


def test_over_all_tasks_it_is_so_too():
    results = {"cb": [trial("cb", **LABELS)], "agnews": [trial("agnews", **LABELS)]}
    got = TrialsEvidence(results).compare(Quantity("rpa", "finetuning"), below=0.9).together
    assert (got.left, got.queries) == (pytest.approx(0.25), 60)


def test_the_table_has_a_second_row_for_a_second_change_and_no_other():
    table = TrialsEvidence({"cb": [trial("cb", **LABELS)]}).table().query("method == 'finetuning'")
    rows = table[table["metric"] == "rpa"]
    assert rows["query"].value_counts().sort_index().tolist() == [2 if query % 6 == 1 else 1 for query in ASKED]
    assert rows["value"].mean() == pytest.approx(0.25)
    assert len(table[table["metric"] == "rpa_correct"]) == 60


def test_steps_of_learning_are_no_queries_even_where_there_are_as_many():
    result = replace(trial(), gradient_norms={"finetuning": np.ones((60, 2))})
    table = TrialsEvidence({"sst2": [result]}).table()
    assert table[table["metric"] == "gradient_norm"]["query"].isna().all()


@pytest.mark.parametrize("kind", ["rpa", "accuracy"])
def test_a_single_query_has_no_interval_whatever_it_is_asked(kind):
    alone = {name: labels[:1] for name, labels in LABELS.items()}
    got = finding(trial("cb", **alone), Quantity(kind, "finetuning"), "cb", above=0.5)
    assert (got.left, got.difference, got.queries) == (1.0, 0.5, 1)


def test_provenance_names_every_trial():
    provenance = TrialsEvidence({"sst2": [trial(seed=3)]}, {"profile": "tiny"}).provenance()
    assert provenance["profile"] == "tiny"
    assert provenance["trials"][0] == {
        "task": "sst2",
        "k": 4,
        "seed": 3,
        "permutation": 0,
        "calibration": "none",
        "probe": "label_token",
        "queries": 60,
        "model": "tiny",
    }


# Mathematics


def test_two_sides_that_agree_are_counted():
    evidence = ExactEvidence()
    verdict = evidence.every(lambda: evidence.equal([1.0, 2.0], np.array([1.0, 2.0 + 1e-12]), "x = y"))
    assert (verdict.word, verdict.cases) == ("supported", 1)
    assert evidence.worst == pytest.approx(5e-13, rel=1e-2)


@pytest.mark.parametrize(
    "disagree",
    [
        lambda e: e.equal([1.0], [1.1], "x = y"),
        lambda e: e.equal([1.0], [np.nan], "x = y"),
        lambda e: e.equal([1.0], [[1.0]], "x = y"),
        lambda e: e.different([1.0], [1.0], "x = y"),
        lambda e: e.different([np.nan], [1.0], "x = y"),
        lambda e: e.check(False, "x = y"),
    ],
)
def test_a_disagreement_refutes_and_names_the_equation(disagree):
    evidence = ExactEvidence()
    verdict = evidence.every(lambda: disagree(evidence))
    assert verdict.word == "refuted"
    assert "x = y" in verdict.why


def test_an_error_of_another_kind_is_not_a_verdict():
    with pytest.raises(ZeroDivisionError):
        ExactEvidence().every(lambda: SimpleNamespace(value=1 / 0))
    assert issubclass(DisagreementError, AssertionError)
