"""What a source of evidence can be asked, and what our own trials and mathematics answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from icl_claims.claims import EVERY_TASK, at_least
from icl_claims.errors import ClaimError
from icl_claims.evidence.asking import AbsentEvidence, Numbers
from icl_claims.evidence.trials import TrialsEvidence
from icl_claims.experiments.result import Entry, TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.methods import Finetuning, InContext, LayerCausal, Linearized, ZeroShot
from icl_claims.metrics import (
    RANDOM_UPDATE,
    LayerMetric,
    PredictionMetric,
    accuracy,
    changed,
    drift,
    rec2ftp,
    rpa,
    rpa_correct,
    rpa_incorrect,
    sim_aou,
)
from icl_claims.questions import Question
from icl_claims.statistics.intervals import Interval, bootstrap_difference, seeds_interval
from icl_claims.tasks.catalogue import PAPERS_TASKS, TASKS

ZSL, ICL, FT, LC = ZeroShot(), InContext(), Finetuning(), LayerCausal()
RANDOM = sim_aou(RANDOM_UPDATE)
WRONG = PredictionMetric(
    name="wrong",
    title="share of wrong predictions",
    definition="The share of queries that are answered wrong.",
    values=lambda said, gold: (said != gold).astype(float),
    takes=lambda found: {"said": found.answered, "gold": found.gold},
)
CHARM = LayerMetric(name="charm", title="charm", definition="", values=len, takes=dict)


def by_task(comparison):
    return {finding.task: finding for finding in comparison.findings}


# Outcomes


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
    numbers = Numbers("sst2", interval=Interval((low + high) / 2, low, high))
    asked = sim_aou(FT) > RANDOM, sim_aou(FT) < RANDOM
    assert tuple(numbers.finding(question).outcome for question in asked) == (upwards, downwards)


def test_a_side_may_be_the_number_zero():
    up, down = sim_aou(FT) > 0.0, sim_aou(FT) < 0.0
    assert (up.sides, up.upwards, down.upwards) == ((sim_aou(FT), 0.0), True, False)
    assert finding(trial(), up).outcome == "holds"


def test_absent_evidence_says_why_for_every_task_and_is_not_run():
    compared = AbsentEvidence("trials", "no CUDA device").ask(sim_aou(FT) > RANDOM)
    told = [(found.task, found.outcome, found.note) for found in compared.tasks]
    assert told == [(task, "absent", "no CUDA device") for task in PAPERS_TASKS]
    verdict = at_least(5).decide(compared)
    assert (verdict.word, verdict.why) == ("not run", "no CUDA device")


def test_a_question_of_an_unknown_kind_is_refused():
    class Unknown(Question):
        def leaves(self):
            return iter(())

    with pytest.raises(ClaimError, match="Unknown kind of question, got Unknown"):
        AbsentEvidence("trials", "no CUDA device").ask(Unknown())


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
        sim_aou(FT): 0.3 + 0.1 * stream.normal(size=(len(gold), 2)),
        RANDOM: 0.01 * stream.normal(size=(len(gold), 2)),
    }
    answered = {
        name: np.log(np.eye(labels)[p] * 0.9 + 0.01) for name, p in predicted.items() if name not in (failures or {})
    }
    return TrialResult(
        spec=TrialSpec("model", "data", task, 4, seed, 0, None, (FT, LC, Linearized())),
        query_rows=np.arange(len(gold)),
        gold=gold,
        log_probabilities=answered,
        content_free={name: np.zeros((1, labels)) for name in answered},
        by_layer={Entry.of(one): values for one, values in (measured if by_layer is None else by_layer).items()},
        failures=failures or {},
        provenance={"model": "tiny"},
    )


def trials(results):
    """Evidence of a main study, by task."""
    return TrialsEvidence({"main": results})


def finding(result, question, task="sst2"):
    results = list(result) if isinstance(result, tuple) else [result]
    return by_task(trials({task: results}).ask(question))[task]


def test_similarities_are_compared_by_a_paired_bootstrap():
    result = trial()
    got = finding(result, sim_aou(FT) > RANDOM)
    columns = [[result.column(quantity)] for quantity in (sim_aou(FT), RANDOM)]
    wanted = bootstrap_difference(*columns, seed=0)
    assert (got.difference, got.low, got.high) == (wanted.estimate, wanted.low, wanted.high)
    assert (got.left, got.right) == pytest.approx([column[0].mean() for column in columns])
    assert (got.outcome, got.queries) == ("holds", 60)


@pytest.mark.parametrize(("lost", "outcome"), [(60, "unclear"), (15, "holds")])
def test_updates_that_the_dtype_does_not_resolve_are_named(lost, outcome):
    result = trial()
    values = result.by_layer[Entry.of(sim_aou(FT))]
    values[:lost] = np.nan
    coarse = replace(result, spec=replace(result.spec, dtype="bfloat16"))
    got = finding(coarse, sim_aou(FT) > RANDOM)
    share = f"leaves out {lost / 60:.0%} of its values, of updates that bfloat16 does not resolve"
    assert (got.outcome, got.note) == (outcome, f"{sim_aou(FT)} {share}")


def test_a_task_that_was_not_run_is_absent():
    found = by_task(trials({"sst2": [trial()]}).ask(sim_aou(FT) > RANDOM))
    assert {task: found[task].outcome for task in PAPERS_TASKS} == dict.fromkeys(PAPERS_TASKS, "absent") | {
        "sst2": "holds"
    }


def test_trials_of_several_seeds_count_alike():
    results = (trial(seed=1), trial(seed=2, n=20))
    got = finding(results, sim_aou(FT) > RANDOM)
    difference = np.mean([(r.by_layer[Entry.of(sim_aou(FT))] - r.by_layer[Entry.of(RANDOM)]).mean() for r in results])
    assert got.difference == pytest.approx(difference)
    assert got.queries == 80


def test_where_icl_does_not_beat_chance_predictions_are_unclear():
    got = finding(trial(icl=np.zeros(60, dtype=int)), accuracy(FT) > accuracy(ICL))
    assert got.outcome == "unclear"
    assert got.note == "in-context learning does not beat chance (accuracy 0.50, most frequent 0.50)"
    assert got.difference == pytest.approx(0.5)


def test_where_it_does_not_attention_is_decided_all_the_same():
    assert finding(trial(icl=np.zeros(60, dtype=int)), sim_aou(FT) > RANDOM).outcome == "holds"


def test_giving_the_most_frequent_label_does_not_beat_chance():
    gold = np.array([1] * 50 + [0] * 10)
    got = finding(trial(gold=gold, icl=np.ones(60, dtype=int)), accuracy(FT) > accuracy(ICL))
    assert "most frequent 0.83" in got.note


def test_where_it_beats_chance_predictions_are_decided():
    wrong = trial(ft=1 - np.arange(60) % 2)
    assert finding(wrong, accuracy(ICL) > accuracy(FT)).outcome == "holds"
    assert finding(wrong, accuracy(ICL) < accuracy(FT)).outcome == "fails"
    assert finding(wrong, ~(accuracy(ICL) < accuracy(FT))).outcome == "holds"


def test_a_method_that_diverged_is_absent_with_its_reason():
    broken = trial(failures={"finetuning": "finetuning diverged at step 3"}, by_layer={})
    got = finding(broken, accuracy(ICL) > accuracy(FT))
    assert (got.outcome, got.note) == ("absent", "finetuning diverged at step 3")
    assert finding(broken, accuracy(ICL) > accuracy(ZSL)).outcome == "holds"


def test_one_seed_that_diverged_makes_its_task_absent():
    broken = trial(failures={"finetuning": "diverged"}, by_layer={})
    assert finding((trial(), broken), sim_aou(FT) > RANDOM).outcome == "absent"


def test_a_metric_that_counts_no_query_is_unclear():
    nothing_changes = trial(ft=np.zeros(60, dtype=int))
    got = finding(nothing_changes, rec2ftp(FT) > 0.5)
    assert (got.outcome, got.note, got.queries) == ("unclear", "no query counts", 0)
    assert got.left is None
    assert got.difference is None


@pytest.mark.parametrize(
    ("question", "refused"),
    [
        (accuracy(LC).at((0, 0.5)).of_weights("half") > 0.5, "accuracy of layer_causal"),
        (sim_aou(FT) > sim_aou(FT, LC), "sim_aou of finetuning against layer_causal"),
        (sim_aou(FT) > CHARM(FT), "charm of finetuning"),
    ],
    ids=["weights", "reference", "metric"],
)
def test_a_quantity_that_no_study_measures_is_refused(question, refused):
    with pytest.raises(
        ClaimError, match=f"The source trials measures no {refused}.*: expected (accuracy|sim_aou of finetuning)"
    ):
        finding(trial(), question)


@pytest.mark.parametrize("metric", [sim_aou, accuracy], ids=lambda metric: metric.name)
@pytest.mark.parametrize("overall", [True, False])
def test_a_method_that_was_not_run_is_absent_and_not_unclear(metric, overall):
    compared = trials({"sst2": [trial()]}).ask(metric(LC) > 0.5)
    got = by_task(compared)["sst2"]
    assert (got.outcome, got.note) == ("absent", f"{metric.title} of layer-causal finetuning was not measured")
    assert at_least(5, overall=overall).decide(compared).word == "not run"


def test_a_prediction_metric_of_ones_own_is_read_from_any_trial():
    result = trial(ft=np.zeros(60, dtype=int))
    got = finding(result, WRONG(FT) > 0.25)
    assert (got.left, got.outcome) == (1 - result.mean(accuracy(FT)), "holds")


def test_all_tasks_together_weigh_alike():
    results = {"sst2": [trial("sst2", n=40)], "cb": [trial("cb", n=90, ft=np.zeros(90, dtype=int))]}
    asked = trials(results).ask((changed(ICL) > changed(FT)).on("sst2", "cb"))
    together = by_task(asked)[EVERY_TASK]
    assert together.difference == pytest.approx((0 + 2 / 3) / 2)
    assert (together.note, together.queries) == ("over 2 tasks", 130)
    assert together.left - together.right == pytest.approx(together.difference)


def test_another_methods_failure_leaves_a_task_in_all_together():
    results = {"sst2": [trial(failures={"finetuning": "diverged"}, by_layer={})]}
    compared = trials(results).ask(accuracy(ICL) > accuracy(ZSL))
    assert by_task(compared)[EVERY_TASK].note.startswith("over 1 of 6 tasks")


def test_a_task_without_learning_does_not_count_for_predictions():
    results = {"sst2": [trial()], "mr": [trial("mr", icl=np.zeros(60, dtype=int))]}
    predictions, attention = (
        by_task(trials(results).ask(question.on("sst2", "mr")))[EVERY_TASK]
        for question in (accuracy(ICL) > accuracy(ZSL), sim_aou(FT) > RANDOM)
    )
    assert predictions.note == "over 1 of 2 tasks: the others could turn it"
    assert attention.note == "over 2 tasks"


def test_a_mean_over_some_of_the_tasks_does_not_decide():
    results = {task: [trial(task)] for task in ("sst2", "sst5", "mr", "subj", "agnews")}
    of_five, of_six = (
        by_task(trials(held).ask(accuracy(ICL) > accuracy(ZSL)))[EVERY_TASK]
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
        results = tuple(trial(gold=gold, icl=guess, n=128) for guess in lucky)
        opened += "beat chance" not in finding(results, accuracy(ICL) > accuracy(ZSL)).note
    assert opened <= 10


def test_where_no_task_counts_all_together_are_unclear():
    together = TrialsEvidence({}).ask(accuracy(ICL) > 0.5).together
    assert (together.task, together.outcome, together.note) == (EVERY_TASK, "unclear", "no task counts")


def test_a_share_of_the_depth_is_a_mean_over_its_layers():
    result = trial(by_layer={sim_aou(FT): np.tile([0.1, 0.2, 0.3, 0.4], (60, 1))})
    got = finding(result, sim_aou(FT).at((0.5, 1)) > sim_aou(FT).at((0, 0.5)))
    assert (got.left, got.right, got.outcome) == (pytest.approx(0.35), pytest.approx(0.15), "holds")


def test_what_has_one_value_a_trial_is_compared_over_trials():
    drifts = (0.11, 0.12, 0.14)
    results = tuple(replace(trial(seed=n), drift={"finetuning": np.array([d])}) for n, d in enumerate(drifts))
    got, wanted = finding(results, drift(FT) > 0.1), seeds_interval([0.01, 0.02, 0.04])
    assert (got.low, got.high) == pytest.approx((wanted.low, wanted.high))
    alone = finding(results[0], drift(FT) > 0.1)
    assert (alone.outcome, alone.low, alone.note) == ("unclear", None, "one draw, and one number per draw")


@pytest.mark.parametrize(("share", "outcome"), [(0.5, "holds"), (0.05, "fails"), (0.2, "unclear")])
def test_quantities_are_near_where_the_interval_lies_within(share, outcome):
    noise = 0.02 * np.random.default_rng(0).normal(size=(60, 1))
    linearized = sim_aou(Linearized())
    result = trial(by_layer={linearized: 0.4 + noise, sim_aou(FT): np.full((60, 1), 0.5)})
    compared = trials({"sst2": [result]}).ask(linearized.near(sim_aou(FT), within=share))
    assert by_task(compared)["sst2"].outcome == outcome
    assert compared.upwards is None


def test_an_undecided_task_says_what_would_decide():
    column = np.concatenate([np.ones(29), -np.ones(31)])[:, None]
    got = finding(trial(by_layer={sim_aou(FT): column}), sim_aou(FT) < 0.0)
    assert (got.outcome, got.note) == ("unclear", "the interval does not decide")
    assert got.needed > 60
    assert got.detectable > abs(got.difference)


def test_a_study_is_asked_only_for_quantities_that_it_measures():
    asked, held = [], {"main": {"sst2": [trial()]}}

    class Watched(dict):
        def get(self, name, default=None):
            asked.append(name)
            return held.get(name, default)

    evidence = TrialsEvidence(Watched())
    evidence.ask(sim_aou(FT) > RANDOM)
    assert set(asked) == {"main"}
    got = by_task(evidence.ask(sim_aou(FT) > sim_aou(FT).of_weights("embeddings_norms_head")))["sst2"]
    assert (got.outcome, got.note) == ("absent", "the study untrained was not run")
    assert set(asked) == {"main", "untrained"}


def test_the_table_is_tidy():
    result = trial()
    table = trials({"sst2": [result]}).table()
    assert set(table.columns) == {"source", "model", "task", "seed", "method", "metric", "layer", "query", "value"}
    assert (table["query"].isna() != table["layer"].isna()).all()
    assert set(table["source"]) == {"trials"}
    assert set(table["model"]) == {"tiny"}
    chosen = table[(table["metric"] == "sim_aou") & (table["method"] == "finetuning")]
    by_query, by_layer = chosen[chosen["layer"].isna()], chosen[chosen["query"].isna()]
    np.testing.assert_allclose(by_query["value"].astype(float), result.by_layer[Entry.of(sim_aou(FT))].mean(axis=1))
    np.testing.assert_allclose(by_layer["value"].astype(float), result.by_layer[Entry.of(sim_aou(FT))].mean(axis=0))
    assert not pd.isna(table[table["metric"] == "accuracy"]["value"]).any()


ASKED = np.arange(60)
# Of six queries in turn: both change to one label, to different ones, only one method changes, none does (three).
LABELS = {"zsl": np.zeros(60, dtype=int), "gold": np.where(ASKED % 6 < 3, 1, 0)}
LABELS |= {"icl": LABELS["gold"], "ft": np.choose(ASKED % 6, [1, 2, 0, 0, 0, 0])}


def test_a_query_changed_to_two_labels_is_two_changes():
    got = finding(trial("cb", **LABELS), rpa(FT) < 0.9, "cb")
    assert (got.left, got.queries, got.outcome) == (pytest.approx(10 / 40), 30, "holds")
    got = finding(trial("cb", **LABELS), rpa_correct(FT) > rpa_incorrect(FT), "cb")
    assert (got.left, got.right, got.queries) == (pytest.approx(10 / 30), 0.0, 30)


def test_over_all_tasks_it_is_so_too():
    results = {"cb": [trial("cb", **LABELS)], "agnews": [trial("agnews", **LABELS)]}
    got = trials(results).ask(rpa(FT) < 0.9).together
    assert (got.left, got.queries) == (pytest.approx(0.25), 60)


def test_the_table_has_a_second_row_for_a_second_change():
    table = trials({"cb": [trial("cb", **LABELS)]}).table().query("method == 'finetuning'")
    rows = table[table["metric"] == "rpa"]
    assert rows["query"].value_counts().sort_index().tolist() == [2 if query % 6 == 1 else 1 for query in ASKED]
    assert rows["value"].mean() == pytest.approx(0.25)
    assert len(table[table["metric"] == "rpa_correct"]) == 60


def test_steps_are_no_queries_even_where_there_are_as_many():
    result = replace(trial(), gradient_norms={"finetuning": np.ones((60, 2))})
    steps = trials({"sst2": [result]}).table().query("metric == 'gradient_norm'")
    assert len(steps) > 0
    assert steps["query"].isna().all()


@pytest.mark.parametrize("metric", [rpa, accuracy], ids=lambda metric: metric.name)
def test_a_single_query_has_no_interval_whatever_it_is_asked(metric):
    alone = {name: labels[:1] for name, labels in LABELS.items()}
    got = finding(trial("cb", **alone), metric(FT) > 0.5, "cb")
    assert (got.left, got.difference, got.queries) == (1.0, 0.5, 1)


def test_provenance_names_every_trial():
    provenance = TrialsEvidence({"main": {"sst2": [trial(seed=3)]}}, {"profile": "tiny"}).provenance()
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
