"""What a source of evidence can be asked, and what our own trials and mathematics answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from icl_claims.claims import EVERY_TASK, at_least
from icl_claims.errors import ClaimError
from icl_claims.evidence.asking import AbsentEvidence
from icl_claims.evidence.noise import NOISES
from icl_claims.evidence.numbers import Numbers
from icl_claims.evidence.trials import TrialsEvidence
from icl_claims.experiments.result import Entry, TrialResult
from icl_claims.experiments.spec import TrialSpec
from icl_claims.methods import Finetuning, GaussianUpdate, InContext, LayerCausal, Linearized, ZeroShot
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
from icl_claims.statistics.error_rates import Errors
from icl_claims.statistics.intervals import Interval
from icl_claims.statistics.replicates import Replicates
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
APART = 1_000_000
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
    assert tuple(numbers.finding(question, Errors()).outcome for question in asked) == (upwards, downwards)


def test_a_side_may_be_the_number_zero():
    up, down = sim_aou(FT) > 0.0, sim_aou(FT) < 0.0
    assert (up.sides, up.upwards, down.upwards) == ((sim_aou(FT), 0.0), True, False)
    assert finding(DRAWS, up).outcome == "holds"


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
        query_rows=1000 * seed + np.arange(len(gold)),
        gold=gold,
        log_probabilities=answered,
        content_free={name: np.zeros((1, labels)) for name in answered},
        by_layer={Entry.of(one): values for one, values in (measured if by_layer is None else by_layer).items()},
        failures=failures or {},
        provenance={"model": "tiny"},
    )


def learning(task, **changes):
    """Results of other draws, by which the model learns the task in context, now and then with a wrong answer."""
    labels = TASKS[task].labels
    right = [(np.arange(60) + (np.arange(60) < 1 + seed % 3)) % labels for seed in range(8)]
    return [trial(task, seed=APART + seed, **{"icl": right[seed], **changes}) for seed in range(8)]


def trials(results, apart=None):
    """Evidence of a main study, by task, and of whether the model learns."""
    return TrialsEvidence({"main": results, "learning": {t: learning(t) for t in results} if apart is None else apart})


def finding(result, question, task="sst2", apart=None):
    results = list(result) if isinstance(result, tuple) else [result]
    return by_task(trials({task: results}, apart and {task: apart}).ask(question))[task]


DRAWS = tuple(trial(seed=seed) for seed in range(8))


def changing(draws=8, task="sst2", **labels):
    """Draws in which a method, by its name, is wrong about a few queries, others in each."""
    stream = np.random.default_rng(0)

    def noisy(predicted):
        return np.where(stream.random(60) < 0.1, (predicted + 1) % TASKS[task].labels, predicted)

    return tuple(
        trial(task, seed=seed, **{name: noisy(predicted) for name, predicted in labels.items()})
        for seed in range(draws)
    )


def test_a_draw_is_one_observation_and_its_queries_are_not():
    got = finding(DRAWS, sim_aou(FT) > RANDOM)
    columns = [[result.column(quantity) for result in DRAWS] for quantity in (sim_aou(FT), RANDOM)]
    means = [[column.mean() for column in side] for side in columns]
    wanted = Replicates(tuple((n, 0) for n in range(8)), *map(np.array, means)).contrast().interval()
    assert (got.difference, got.low, got.high) == pytest.approx((wanted.estimate, wanted.low, wanted.high))
    assert (got.left, got.right) == pytest.approx([np.mean(side) for side in means])
    assert (got.outcome, got.replicates, got.queries) == ("holds", 8, 480)
    assert got.interval_kind == "confidence sequence over draws"


@pytest.mark.parametrize(
    ("draws", "note"), [(1, "one draw, which says nothing about others"), (3, "3 draws are too few")]
)
def test_a_draw_alone_and_a_few_decide_nothing(draws, note):
    got = finding(DRAWS[:draws], sim_aou(FT) > RANDOM)
    assert (got.outcome, got.low) == ("unclear", None)
    assert got.note.startswith(note)


def test_draws_that_ask_the_same_queries_leave_the_queries_uncertain():
    shared = tuple(replace(result, query_rows=np.arange(60)) for result in DRAWS)
    own, crossed = (finding(results, sim_aou(FT) > RANDOM) for results in (DRAWS, shared))
    assert crossed.difference == pytest.approx(own.difference)
    assert crossed.high - crossed.low > own.high - own.low


@pytest.mark.parametrize(("lost", "outcome"), [(60, "unclear"), (15, "holds")])
def test_updates_that_the_dtype_does_not_resolve_are_named(lost, outcome):
    results = tuple(trial(seed=seed) for seed in range(8))
    for result in results:
        result.by_layer[Entry.of(sim_aou(FT))][:lost] = np.nan
    coarse = tuple(replace(result, spec=replace(result.spec, dtype="bfloat16")) for result in results)
    got = finding(coarse, sim_aou(FT) > RANDOM)
    share = f"leaves out {lost / 60:.0%} of its values, of updates that bfloat16 does not resolve"
    assert (got.outcome, got.note) == (outcome, f"{sim_aou(FT)} {share}")


def test_a_task_that_was_not_run_is_absent():
    found = by_task(trials({"sst2": DRAWS}).ask(sim_aou(FT) > RANDOM))
    assert {task: found[task].outcome for task in PAPERS_TASKS} == dict.fromkeys(PAPERS_TASKS, "absent") | {
        "sst2": "holds"
    }


def test_a_draw_weighs_as_much_as_it_asks_queries():
    results = (trial(seed=1), trial(seed=2, n=20))
    got = finding(results, sim_aou(FT) > RANDOM)
    differences = [(r.by_layer[Entry.of(sim_aou(FT))] - r.by_layer[Entry.of(RANDOM)]).mean() for r in results]
    assert got.difference == pytest.approx(np.average(differences, weights=[60, 20]))
    assert got.queries == 80


GUESSING = {"icl": np.zeros(60, dtype=int)}


@pytest.mark.parametrize("question", [accuracy(FT) > accuracy(ICL), sim_aou(FT) > RANDOM], ids=str)
def test_where_the_model_does_not_learn_in_context_nothing_is_decided(question):
    got = finding(DRAWS, question, apart=learning("sst2", **GUESSING))
    assert (got.outcome, got.p_holds, got.p_fails) == ("unclear", None, None)
    assert got.note.startswith("in-context learning is not shown to beat chance or zero-shot (accuracy 0.50")


def test_what_is_asked_of_any_model_is_decided_all_the_same():
    apart = learning("sst2", **GUESSING)
    assert finding(DRAWS, (sim_aou(FT) > RANDOM).of_any_model, apart=apart).outcome == "holds"


def test_whether_it_learns_is_found_on_other_draws():
    wrong_here = tuple(trial(seed=seed, **GUESSING) for seed in range(8))
    assert finding(wrong_here, sim_aou(FT) > RANDOM).outcome == "holds"


def test_without_other_draws_nothing_is_known_of_it():
    evidence = TrialsEvidence({"main": {"sst2": DRAWS}})
    got = by_task(evidence.ask(sim_aou(FT) > RANDOM))["sst2"]
    assert (got.outcome, got.note) == ("unclear", "whether the model learns in context was not tried")


def test_giving_the_most_frequent_label_does_not_beat_chance():
    gold = np.array([1] * 50 + [0] * 10)
    ones = np.ones(60, dtype=int)
    got = finding(DRAWS, accuracy(FT) > accuracy(ICL), apart=learning("sst2", gold=gold, icl=ones, zsl=ones))
    assert "most frequent label 0.83" in got.note


def test_beating_zero_shot_is_learning_too():
    gold = np.array([1] * 50 + [0] * 10)
    apart = [trial(seed=APART + n, gold=gold, icl=np.where(np.arange(60) < n, 0, 1)) for n in range(8)]
    assert finding(DRAWS, sim_aou(FT) > RANDOM, apart=apart).outcome == "holds"


def test_provenance_says_where_chance_and_zero_shot_are_both_beaten():
    gold = np.array([1] * 50 + [0] * 10)
    zero_shot_only = [trial("mr", seed=APART + n, gold=gold, icl=np.where(np.arange(60) < n, 0, 1)) for n in range(8)]
    apart = {"sst2": learning("sst2"), "mr": zero_shot_only, "cb": learning("cb", **GUESSING)}
    told = trials({"sst2": DRAWS}, apart).provenance()["in_context_learning"]
    assert told == "beats chance and zero-shot on SST2; is not shown to beat both on MR, CB"
    assert "in_context_learning" not in trials({"sst2": DRAWS}, {}).provenance()


def test_where_it_learns_predictions_are_decided():
    wrong = changing(ft=1 - np.arange(60) % 2)
    assert finding(wrong, accuracy(ICL) > accuracy(FT)).outcome == "holds"
    assert finding(wrong, accuracy(ICL) < accuracy(FT)).outcome == "fails"
    assert finding(wrong, ~(accuracy(ICL) < accuracy(FT))).outcome == "holds"


def test_an_accuracy_differs_by_one_at_most():
    few = changing(6, ft=np.arange(60) % 2, icl=np.arange(60) % 2)
    got = finding(few, accuracy(ICL) > accuracy(FT))
    assert got.low >= -1
    assert got.high <= 1


def test_a_method_that_diverged_in_every_draw_is_absent_with_its_reason():
    broken = tuple(trial(seed=n, failures={"finetuning": "diverged at step 3"}, by_layer={}) for n in range(8))
    got = finding(broken, accuracy(ICL) > accuracy(FT))
    assert (got.outcome, got.note) == ("absent", "diverged at step 3")
    assert finding(changing(icl=np.arange(60) % 2), accuracy(ICL) > accuracy(ZSL)).outcome == "holds"


def test_a_draw_in_which_a_method_diverged_is_left_out_and_named():
    broken = trial(seed=9, failures={"finetuning": "diverged"}, by_layer={})
    got = finding((*DRAWS, broken), sim_aou(FT) > RANDOM)
    assert (got.outcome, got.replicates) == ("holds", 8)
    assert got.note == "finetuning failed in 1 of 9 draws, which are left out"


def test_a_metric_that_counts_no_query_is_unclear():
    nothing_changes = tuple(trial(seed=seed, ft=np.zeros(60, dtype=int)) for seed in range(8))
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
    results = changing(ft=np.zeros(60, dtype=int))
    got = finding(results, WRONG(FT) > 0.25)
    assert got.left == pytest.approx(1 - np.mean([result.mean(accuracy(FT)) for result in results]))
    assert got.outcome == "holds"


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


def test_a_task_without_learning_does_not_count():
    results = {"sst2": DRAWS, "mr": [trial("mr", seed=seed) for seed in range(8)]}
    apart = {"sst2": learning("sst2"), "mr": learning("mr", **GUESSING)}
    for question in (accuracy(ICL) > accuracy(ZSL), sim_aou(FT) > RANDOM):
        together = trials(results, apart).ask(question.on("sst2", "mr")).together
        assert together.note == "over 1 of 2 tasks: the others could turn it"


def test_a_mean_over_some_of_the_tasks_does_not_decide():
    results = {task: changing(task=task, icl=np.arange(60) % TASKS[task].labels) for task in PAPERS_TASKS}
    of_five, of_six = (
        trials({task: results[task] for task in tasks}).ask(accuracy(ICL) > accuracy(ZSL)).together
        for tasks in (PAPERS_TASKS[:5], PAPERS_TASKS)
    )
    assert (of_five.outcome, of_six.outcome) == ("unclear", "holds")
    assert of_six.note == "over 6 tasks"


def test_draws_do_not_make_a_guess_beat_chance():
    generator = np.random.default_rng(0)
    opened = 0
    for _ in range(100):
        apart = []
        for seed in range(8):
            gold = (generator.random(60) < 0.4).astype(int)
            lucky = np.where(generator.random(60) < 0.1, generator.integers(0, 2, 60), 0)
            apart.append(trial(seed=APART + seed, gold=gold, icl=lucky))
        opened += "beat chance" not in finding(DRAWS, sim_aou(FT) > RANDOM, apart=apart).note
    assert opened <= 10


def test_where_no_task_counts_all_together_are_unclear():
    together = TrialsEvidence({}).ask(accuracy(ICL) > 0.5).together
    assert (together.task, together.outcome, together.note) == (EVERY_TASK, "unclear", "no task counts")


def test_a_share_of_the_depth_is_a_mean_over_its_layers():
    results = tuple(
        trial(seed=4 + n, by_layer={sim_aou(FT): np.tile([0.1, 0.2, 0.3, 0.4], (60, 1)) + 0.001 * n * np.arange(4)})
        for n in range(-4, 5)
    )
    got = finding(results, sim_aou(FT).at((0.5, 1)) > sim_aou(FT).at((0, 0.5)))
    assert (got.left, got.right, got.outcome) == (pytest.approx(0.35), pytest.approx(0.15), "holds")


def test_what_has_one_value_a_trial_is_compared_over_trials():
    drifts = 0.1 + 0.01 * np.arange(1, 9)
    results = tuple(replace(trial(seed=n), drift={"finetuning": np.array([d])}) for n, d in enumerate(drifts))
    got, wanted = (
        finding(results, drift(FT) > 0.1),
        Replicates(tuple((n, 0) for n in range(8)), drifts, 0 * drifts + 0.1),
    )
    interval = wanted.contrast().interval()
    assert (got.low, got.high) == pytest.approx((interval.low, interval.high))
    alone = finding(results[0], drift(FT) > 0.1)
    assert (alone.outcome, alone.low, alone.note) == ("unclear", None, "one draw, which says nothing about others")


@pytest.mark.parametrize(("share", "outcome"), [(0.5, "holds"), (0.05, "fails"), (0.2, "unclear")])
def test_quantities_are_near_where_the_interval_lies_within(share, outcome):
    noise, linearized = 0.02 * np.random.default_rng(0).normal(size=8), sim_aou(Linearized())
    results = [
        trial(seed=seed, by_layer={linearized: np.full((60, 1), 0.4 + off), sim_aou(FT): np.full((60, 1), 0.5)})
        for seed, off in enumerate(noise)
    ]
    compared = trials({"sst2": results}).ask(linearized.near(sim_aou(FT), within=share))
    assert by_task(compared)["sst2"].outcome == outcome
    assert compared.upwards is None


def test_an_undecided_task_says_how_many_draws_would_decide():
    off = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, -1.0, -1.0])
    results = tuple(trial(seed=n, by_layer={sim_aou(FT): np.full((60, 1), o)}) for n, o in enumerate(off))
    got = finding(results, sim_aou(FT) < 0.0)
    assert (got.outcome, got.note) == ("unclear", "the interval does not decide")
    assert got.needed > 8
    assert got.detectable > abs(got.difference)


@pytest.mark.parametrize(
    "question",
    [sim_aou(FT) > 0.1, ~(sim_aou(FT) < 0.1), ~sim_aou(FT).near(sim_aou(LC), within=0.1)],
    ids=str,
)
def test_what_goes_beyond_noise_does_so_on_the_side_on_which_it_is(question):
    """Also of what is denied: off to one side or the other, by more than noise."""
    stream, gaussian = np.random.default_rng(0), NOISES[0]
    means = {sim_aou(FT): 0.4, sim_aou(LC): 0.2, **{sim_aou(GaussianUpdate(one)): 0.1 for one in (FT, LC)}}

    def drawn(seed, means):
        return {one: np.full((60, 1), mean) + 0.01 * stream.normal() for one, mean in means.items()}

    def said(means):
        results = [trial(seed=seed, by_layer=drawn(seed, means)) for seed in range(8)]
        return by_task(trials({"sst2": results}).beyond(question, gaussian))["sst2"].outcome

    assert said(means) == "holds"
    assert said({one: 0.1 if one.method in (FT, LC) else 0.4 for one in means}) != "holds"


def test_a_study_is_asked_only_for_quantities_that_it_measures():
    asked, held = [], {"main": {"sst2": DRAWS}}

    class Watched(dict):
        def get(self, name, default=None):
            asked.append(name)
            return held.get(name, default)

    evidence = TrialsEvidence(Watched())
    evidence.ask(sim_aou(FT) > RANDOM)
    assert set(asked) == {"main", "learning"}
    got = by_task(evidence.ask(sim_aou(FT) > sim_aou(FT).of_weights("embeddings_norms_head")))["sst2"]
    assert (got.outcome, got.note) == ("absent", "the study untrained was not run")
    assert set(asked) == {"main", "learning", "untrained"}


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
    assert (got.left, got.queries) == (pytest.approx(10 / 40), 30)
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
        "separator": "end_of_text",
        "probe": "label_token",
        "queries": 60,
        "model": "tiny",
    }
