"""Studies: which trials claims can ask for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product

import pytest

from icl_claims.errors import UsageError
from icl_claims.experiments.profiles import PROFILES
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import (
    IN_CONTEXT,
    ORDERS,
    OWN,
    STANDARD,
    STUDIES,
    ZERO_SHOT,
    Study,
    every_method,
    find_study,
    known_names,
    own_study,
    study_of,
    title_of,
)
from icl_claims.experiments.trial import run_trial
from icl_claims.methods import (
    AnotherQuerysUpdate,
    Clipping,
    Finetuning,
    GaussianUpdate,
    LayerCausal,
    Linearized,
    Reordered,
    SwitchedLabels,
    at_rate,
)
from icl_claims.metrics import (
    DEMONSTRATION_LENGTHS,
    METRICS,
    RANDOM_UPDATE,
    LearningMetric,
    accuracy,
    drift,
    first_log_gradient_ratio,
    kendall,
    log_gradient_ratio,
    order_spread,
    sim_aou,
)
from icl_claims.models.random_models import random_model
from icl_claims.questions import Quantity
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import Example, TaskData


@pytest.mark.parametrize("study", STUDIES.values(), ids=list(STUDIES))
def test_the_methods_of_a_study_have_names_of_their_own(study):
    methods = study.methods
    spec = TrialSpec("model", "data", "sst2", k=4, seed=0, permutation=0, queries=None, methods=methods)
    assert len(spec.record()["methods"]) == len(methods)


def test_at_least_ten_orders_are_compared():
    names = [method.name for method in find_study("orders").methods]
    assert ORDERS >= 10
    assert all(
        f"{learner}_order_{n}" in names for learner in ("in_context", "finetuning") for n in range(1, ORDERS + 1)
    )


def test_every_method_of_every_study_is_among_all_methods():
    known = {method.name for method in every_method()}
    assert {method.name for study in STUDIES.values() for method in study.methods} <= known


def test_profiles_run_studies_that_there_are():
    assert all(set(profile.studies) <= set(STUDIES) for profile in PROFILES.values())


def test_an_unknown_study_is_named_with_those_there_are():
    with pytest.raises(UsageError, match="clips"):
        find_study("clip")


def test_two_methods_of_one_name_are_refused():
    methods = find_study("untrained_all").methods * 2
    with pytest.raises(UsageError, match="names that differ, got finetuning, finetuning"):
        TrialSpec("model", "data", "sst2", k=4, seed=0, permutation=0, queries=None, methods=methods)


def test_a_parameter_of_an_inner_method_makes_another_trial():
    specs = [
        TrialSpec("m", "d", "sst2", 4, 0, 0, None, tuple(at_rate(m, rate) for m in find_study("labels").methods))
        for rate in (0.1, 0.2)
    ]
    assert specs[0].key() != specs[1].key()
    assert specs[0].record()["methods"][-1]["method"]["learning_rate"] == 0.1


# What a study measures

WORDS = ("warm", "dull", "slow", "kind", "loud", "rare")
MINE = LayerCausal(clip=Clipping(3.0))
ICL_CYCLIC, FT_CYCLIC = (SwitchedLabels(method, "cyclic") for method in (IN_CONTEXT, STANDARD))


def example(row):
    return Example({"sentence": " ".join(WORDS[(row + i) % 6] for i in range(1 + row % 4))}, row % 2, row)


DATA = TaskData(TASKS["sst2"], tuple(map(example, range(12))), tuple(map(example, range(4))), "directory", "data")


@pytest.fixture(scope="module")
def result_of(word_encoder):
    """The result of a small trial of a study."""

    @cache
    def run(study):
        model = random_model("llama", 2, 0)
        model.tokens = word_encoder()
        methods = [at_rate(method, 0.01) for method in study.methods]
        chosen = {"weights": study.weights, "diagnostics": study.diagnostics, "metrics": study.metrics}
        return run_trial(TrialSpec.of(model, DATA, methods, k=3, **chosen), model, DATA)

    return run


@pytest.mark.parametrize("study", STUDIES.values(), ids=list(STUDIES))
def test_a_study_measures_what_its_trials_hold_and_nothing_else(study, result_of):
    result = result_of(study)
    of = (
        *study.answering[:8],
        study.answering[-1],
        *study.nulls[:4],
        MINE,
        GaussianUpdate(MINE),
        RANDOM_UPDATE,
        DEMONSTRATION_LENGTHS,
    )
    against = (None, ZERO_SHOT, MINE, *study.methods[:4])
    asked = [
        Quantity(metric, method, reference, weights=study.weights)
        for metric, method, reference in product(METRICS, of, against)
        if reference is None or not isinstance(metric, LearningMetric)
    ]
    told = {str(quantity) for quantity in asked if study.measures(quantity)}
    assert told == {str(quantity) for quantity in asked if result.column(quantity) is not None}
    assert len(told) > 20


@pytest.mark.parametrize("study", STUDIES.values(), ids=list(STUDIES))
def test_every_name_that_a_trial_measures_has_a_title(study, result_of):
    result = result_of(study)
    names = {name for entry in result.by_layer for name in entry} | set(result.methods)
    assert names <= set(known_names())
    assert {one.name for one in result.measured} <= names
    for name in names:
        assert title_of(name) == known_names()[name].title
        assert "_" not in title_of(name)


def test_titles_are_different_and_an_unknown_name_is_its_own():
    titles = [named.title for named in known_names().values()]
    assert len(set(titles)) == len(titles)
    assert title_of("sign_descent") == "sign_descent"


@pytest.mark.parametrize(
    ("quantity", "study"),
    [
        (accuracy(IN_CONTEXT), "main"),
        (sim_aou(STANDARD), "main"),
        (sim_aou(Linearized()), "main"),
        (sim_aou(GaussianUpdate(STANDARD)), "main"),
        (sim_aou(AnotherQuerysUpdate(LayerCausal())), "main"),
        (sim_aou(RANDOM_UPDATE), "main"),
        (kendall(ZERO_SHOT), "main"),
        (kendall(RANDOM_UPDATE), "main"),
        (kendall(Linearized()), None),
        (kendall(IN_CONTEXT), None),
        (sim_aou(ZERO_SHOT), None),
        (log_gradient_ratio(LayerCausal()), "main"),
        (log_gradient_ratio(LayerCausal(clip=Clipping(12.0))), None),
        (drift(LayerCausal(clip=Clipping(12.0))), "clips"),
        (drift(ICL_CYCLIC), None),
        (sim_aou(LayerCausal(update="sequential")), "updates"),
        (sim_aou(STANDARD, ICL_CYCLIC), "labels"),
        (sim_aou(FT_CYCLIC, ICL_CYCLIC), "labels"),
        (sim_aou(GaussianUpdate(FT_CYCLIC)), None),
        (sim_aou(STANDARD, FT_CYCLIC), None),
        (order_spread(IN_CONTEXT), "orders"),
        (accuracy(Reordered(IN_CONTEXT, 3)), "orders"),
        (sim_aou(STANDARD).of_weights("norms"), "untrained_norms"),
        (sim_aou(STANDARD).at((0, 0.5)), "main"),
        (sim_aou(MINE), None),
    ],
    ids=str,
)
def test_a_quantity_belongs_to_the_first_study_that_measures_it(quantity, study):
    found = study_of(quantity)
    assert (found and found.name) == study


# The study of a reader's own


def test_what_ours_measure_needs_no_study_of_ones_own():
    assert own_study([sim_aou(STANDARD), accuracy(IN_CONTEXT), order_spread(STANDARD)]) is None
    assert own_study([]) is None


def test_an_own_study_holds_the_methods_that_ours_lack():
    asked = [sim_aou(MINE), sim_aou(GaussianUpdate(MINE)), sim_aou(STANDARD), accuracy(Finetuning(loss="label_only"))]
    study = own_study(asked)
    assert (study.name, study.methods, study.metrics) == (OWN, (MINE, Finetuning(loss="label_only")), ())
    assert study.measures(sim_aou(MINE))
    assert not study.diagnostics


def test_an_own_study_holds_own_metrics_and_their_methods():
    metric = replace(sim_aou, name="mine")
    study = own_study([metric(STANDARD), metric(GaussianUpdate(LayerCausal())), metric(IN_CONTEXT), metric(ZERO_SHOT)])
    assert (study.methods, study.metrics) == ((STANDARD, LayerCausal()), (metric,))
    assert study.measures(metric(STANDARD))
    assert study.measures(metric(GaussianUpdate(LayerCausal())))


def test_an_own_metric_that_compares_nothing_is_of_all():
    metric = replace(sim_aou, name="alone", compares=False, of_updates=False)
    study = own_study([metric(STANDARD)])
    assert [study.measures(metric(one)) for one in (ZERO_SHOT, IN_CONTEXT, STANDARD)] == [True] * 3
    assert not study.measures(metric(GaussianUpdate(STANDARD)))
    assert not study.measures(metric(STANDARD, ZERO_SHOT))


def test_an_own_study_holds_finetuning_for_ratios_to_it():
    ratio = log_gradient_ratio(MINE)
    study = own_study([ratio, first_log_gradient_ratio(MINE)])
    assert study.methods == (STANDARD, MINE)
    assert study_of(ratio, [study]) is study
    assert own_study([drift(MINE)]).methods == (MINE,)


def test_an_own_study_is_of_the_trained_model():
    assert own_study([sim_aou(MINE).of_weights("norms")]) is None


def test_an_own_study_measures_what_its_trials_hold(result_of):
    metric = replace(sim_aou, name="mine")
    asked = [metric(MINE), metric(GaussianUpdate(STANDARD)), sim_aou(MINE), log_gradient_ratio(MINE)]
    study = own_study(asked)
    assert isinstance(study, Study)
    assert all(study.measures(quantity) for quantity in asked)
    assert all(result_of(study).column(quantity) is not None for quantity in asked)
