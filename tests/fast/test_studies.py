"""Studies: which trials claims can ask for."""

from __future__ import annotations

import pytest

from icl_claims.errors import UsageError
from icl_claims.experiments.profiles import PROFILES
from icl_claims.experiments.spec import TrialSpec
from icl_claims.experiments.studies import ORDERS, STUDIES, every_method, find_study
from icl_claims.methods import Finetuning, Paraphrased, at_rate


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
    methods = find_study("untrained").methods * 2
    with pytest.raises(UsageError, match="names that differ, got finetuning, finetuning"):
        TrialSpec("model", "data", "sst2", k=4, seed=0, permutation=0, queries=None, methods=methods)


def test_a_paraphrased_method_has_the_parameters_of_its_method():
    def spec(rate):
        methods = (Finetuning(0.3), Paraphrased(Finetuning(rate)))
        return TrialSpec("m", "d", "sst2", k=4, seed=0, permutation=0, queries=None, methods=methods)

    assert spec(0.3).methods
    with pytest.raises(
        UsageError, match="finetuning_paraphrased has other parameters: expected the parameters of finetuning"
    ):
        spec(0.01)


def test_a_parameter_of_an_inner_method_makes_another_trial():
    specs = [
        TrialSpec("m", "d", "sst2", 4, 0, 0, None, tuple(at_rate(m, rate) for m in find_study("labels").methods))
        for rate in (0.1, 0.2)
    ]
    assert specs[0].key() != specs[1].key()
    assert specs[0].record()["methods"][-1]["method"]["learning_rate"] == 0.1
