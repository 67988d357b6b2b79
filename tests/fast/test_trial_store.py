"""A trial is run once: its result is found by its specification, which it names."""

from __future__ import annotations

import pytest

from icl_claims.errors import StoreError
from icl_claims.experiments.result import packed_result, unpacked_result
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.storage.store import default_store
from tests.fast.stored_trials import SPEC, assert_same_result, made_up_result

RESULT = made_up_result()


def never(_spec):
    raise AssertionError("a stored trial must not be run again")


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path))
    return TrialStore()


def test_a_stored_trial_is_given_back_and_not_run_again(store):
    assert not store.holds(SPEC)
    assert_same_result(store.get_or_run(SPEC, lambda _spec: RESULT), RESULT)
    assert store.holds(SPEC)
    assert_same_result(store.get_or_run(SPEC, never), RESULT)
    assert_same_result(store.get_or_run_unless_busy(SPEC, never), RESULT)
    assert_same_result(TrialStore(default_store()).get_or_run(SPEC, never), RESULT)


def test_who_does_not_want_to_wait_gets_nothing_meanwhile(store):
    def run(_spec):
        assert TrialStore().get_or_run_unless_busy(SPEC, never) is None
        return RESULT

    assert_same_result(store.get_or_run_unless_busy(SPEC, run), RESULT)


def test_a_checkpoint_lies_beside_the_trial(store, tmp_path):
    assert store.checkpoint(SPEC).folder == tmp_path / "trials" / f"{SPEC.key()}.partial"


@pytest.mark.parametrize("part", ["gold", "losses"])
def test_a_result_without_a_part_is_a_named_error(part):
    facts, arrays = packed_result(SPEC, RESULT)
    for place in (facts, arrays):
        place.pop(part, None)
    with pytest.raises(StoreError, match=f"lacks a part: expected '{part}'"):
        unpacked_result(SPEC, (facts, arrays))
