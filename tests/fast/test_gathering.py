"""Trials of one setting share their methods' numbers: what is run in several parts is what is run at once."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_claims.errors import ModelError, StoreWarning
from icl_claims.experiments.result import Entry, TrialResult
from icl_claims.experiments.spec import TrialSpec, joined
from icl_claims.experiments.trial import run_trial
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.methods import Finetuning, InContext, LayerCausal, SwitchedLabels
from icl_claims.metrics import LayerMetric
from icl_claims.storage.checksummed import NUMBERS
from icl_claims.storage.store import GROUP
from tests.fast.stored_trials import GROUPS, SPREAD, assert_same_arrays
from tests.fast.trials_apart import TOKENS, small_trial

FT, LC = Finetuning(0.1), LayerCausal(0.1)
ONE_AFTER_ANOTHER = LayerCausal(0.1, update="sequential")  # compared with in-context learning alone
METHODS = (FT, LC, SwitchedLabels(InContext(), "cyclic"), SwitchedLabels(FT, "cyclic"))
OF_LENS = LayerMetric(
    name="of_lens",
    title="of the lens",
    definition="Log-probability of the first label.",
    values=lambda lens: lens[..., 0].T,
    takes=lambda seen: {"lens": seen.answer.lens},
    needs=frozenset({"lens"}),
    compares=False,
)


@cache
def trial():
    return small_trial(queries=7)


def spec_of(*methods, metrics=(), diagnostics=False, **changes) -> TrialSpec:
    return replace(trial()[0], methods=methods, metrics=metrics, diagnostics=diagnostics, **changes)


@cache
def run(spec) -> TrialResult:
    _, model, data = trial()
    return run_trial(spec, model, data, tokens_per_batch=TOKENS)


def never(spec):
    raise AssertionError(f"what is stored must not be run again: {[method.name for method in spec.methods]}")


@pytest.fixture
def store(tmp_path):
    return TrialStore(tmp_path)


def assert_same_numbers(one, other):
    for group in GROUPS:
        assert_same_arrays(*(dict(sorted(getattr(found, group).items())) for found in (one, other)))
    assert (one.spec, one.losses, one.failures) == (other.spec, other.losses, other.failures)
    assert np.array_equal(one.gold, other.gold)
    assert np.array_equal(one.query_rows, other.query_rows)


some_methods = st.lists(st.sampled_from(METHODS), unique=True, max_size=4).map(tuple)
some_metrics = st.lists(st.sampled_from([SPREAD, OF_LENS]), unique=True).map(tuple)
requests = st.tuples(some_methods, some_metrics, st.booleans())


def spec_of_request(request) -> TrialSpec:
    methods, metrics, diagnostics = request
    return spec_of(*methods, metrics=metrics, diagnostics=diagnostics)


@settings(max_examples=15)
@given(st.lists(requests, min_size=2, max_size=4))
def test_in_whatever_parts_trials_are_run_each_has_the_numbers_of_one_run_alone(tmp_path_factory, asked):
    store, asked = TrialStore(tmp_path_factory.mktemp("trials")), list(map(spec_of_request, asked))
    for spec in asked:
        assert_same_numbers(store.get_or_run(spec, run), run(spec))
    for spec in asked:
        assert store.holds(spec)
        assert_same_numbers(store.get_or_run(spec, never), run(spec))


@settings(max_examples=10)
@given(requests, requests)
def test_two_studies_at_once_are_the_same_as_one_after_another(tmp_path_factory, one, other):
    store, ran = TrialStore(tmp_path_factory.mktemp("trials")), []
    one, other = map(spec_of_request, (one, other))
    [together] = joined([one, other]).values()
    first = store.get_or_run(one, lambda spec: ran.append(spec) or run(spec), together)
    assert_same_numbers(first, run(one))
    assert_same_numbers(store.get_or_run(other, never), run(other))
    assert ran == [together]


def test_one_more_method_adds_that_method_alone(store):
    ran = []
    store.get_or_run(spec_of(FT), run)
    wider = spec_of(FT, ONE_AFTER_ANOTHER)
    assert store.missing(wider) == spec_of(ONE_AFTER_ANOTHER)
    assert not store.holds(wider)
    store.get_or_run(wider, lambda spec: ran.append(spec.methods) or run(spec))
    assert ran == [(ONE_AFTER_ANOTHER,)]


def test_two_methods_that_are_compared_are_run_once_more_together(store):
    switched = METHODS[2]
    store.get_or_run(spec_of(FT), run)
    assert store.missing(spec_of(FT, switched)).methods == (FT, switched)
    found = store.get_or_run(spec_of(FT, switched), run)
    assert Entry("sim_aou", "finetuning", switched.name) in found.by_layer


def test_a_method_of_the_same_name_is_another_one_at_another_rate(store):
    other = Finetuning(0.2)
    store.get_or_run(spec_of(FT), run)
    assert store.missing(spec_of(other)) == spec_of(other)
    found = store.get_or_run(spec_of(other), run, spec_of(FT, LC))
    assert found.losses["finetuning"] == run(spec_of(other)).losses["finetuning"]
    assert joined([spec_of(FT, LC), spec_of(other)])[spec_of().setting()].methods == (FT, LC)


def test_other_settings_share_nothing(store):
    store.get_or_run(spec_of(FT), run)
    for other in (spec_of(FT, seed=1), spec_of(FT, weights="nothing"), spec_of(FT, code="another")):
        assert other.key()[:GROUP] != spec_of(FT).key()[:GROUP]
        assert store.missing(other) == other


def test_what_failed_stays_failed_and_is_not_tried_again(store):
    def fail(spec):
        result = run(replace(spec, methods=()))
        return replace(result, failures={FT.name: "diverged"})

    store.get_or_run(spec_of(FT), fail)
    found = store.get_or_run(spec_of(FT, LC), run)
    assert found.failures == {FT.name: "diverged"}
    assert set(found.methods) == {"zero_shot", "in_context", LC.name}


def test_a_damaged_part_is_set_aside_and_run_again(store, tmp_path):
    for methods in ((FT,), (FT, ONE_AFTER_ANOTHER)):
        store.get_or_run(spec_of(*methods), run)
    (tmp_path / spec_of(ONE_AFTER_ANOTHER).key() / NUMBERS).write_bytes(b"")
    both = spec_of(FT, ONE_AFTER_ANOTHER)
    with pytest.warns(StoreWarning, match="set aside"):
        assert_same_numbers(store.get_or_run(both, run), run(both))
    assert_same_numbers(store.get_or_run(both, never), run(both))


def test_a_run_that_fails_leaves_what_was_there(store):
    store.get_or_run(spec_of(FT), run)
    with pytest.raises(ModelError):
        store.get_or_run(spec_of(FT, LC), lambda _spec: (_ for _ in ()).throw(ModelError("broken")))
    store.get_or_run(spec_of(FT), never)


def test_parts_from_different_places_are_said_to_be(store):
    def elsewhere(spec):
        result = run(spec)
        return replace(result, provenance={**result.provenance, "threads": 64})

    store.get_or_run(spec_of(FT), run)
    alone = store.get_or_run(spec_of(FT), never).provenance
    assert alone["notes"] == []
    both = store.get_or_run(spec_of(FT, LC), elsewhere).provenance
    [note] = both["notes"]
    assert "some methods were run with" in note
    assert "threads 64" in note
    assert both["finished"] >= alone["finished"]


def test_time_is_that_of_the_methods_that_were_asked_for(store):
    store.get_or_run(spec_of(FT, LC), run)
    seconds = store.get_or_run(spec_of(LC), never).seconds
    assert f"learn {LC.name}" in seconds
    assert f"learn {FT.name}" not in seconds
