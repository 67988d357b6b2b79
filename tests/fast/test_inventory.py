"""The store can be listed, checked and cleared of what nobody reads; a new trial is told from the nearest old one."""

from __future__ import annotations

import os
import time
from datetime import timedelta

import pytest
from filelock import FileLock

from icl_claims.experiments.spec import Change, diff, nearest
from icl_claims.storage.checksummed import MANIFEST, NUMBERS
from icl_claims.storage.store import Store, damage, entries, remove, unneeded
from tests.fast.stored_trials import get_or_run, made_up_content

CODE = {"code": "today"}


@pytest.fixture
def store(tmp_path):
    """One trial in every state."""
    store = Store(tmp_path)
    for key, code in (("whole", "today"), ("old", "yesterday"), ("bad", "today"), ("bitten", "today")):
        get_or_run(store, key, lambda code=code: made_up_content(code=code))
    (tmp_path / "bad" / MANIFEST).write_bytes(b"")
    (tmp_path / "bitten" / NUMBERS).write_bytes(b"")
    for key, code in (("half", "today"), ("old half", "yesterday")):
        checkpoint = store.checkpoint(key)
        checkpoint.keep("start", {"spec": {"code": code, "task": "cb"}}, {})
        checkpoint.keep("block", {}, {})
    (tmp_path / "left.new").mkdir()
    (tmp_path / "aside.damaged").mkdir()
    return tmp_path


def states(store):
    return {entry.key: entry.state for entry in entries(store)}


STATES = {
    "whole": "whole",
    "old": "whole",
    "bad": "unreadable",
    "bitten": "whole",
    "half": "partial",
    "old half": "partial",
    "left": "left over",
    "aside": "set aside",
}


def test_every_folder_of_a_store_is_listed_with_its_state(store):
    assert states(store) == STATES


def test_an_entry_says_what_was_run_and_how_large_it_is(store):
    by_key = {entry.key: entry for entry in entries(store)}
    assert by_key["whole"].spec == made_up_content(**CODE)[0]["spec"]
    assert by_key["half"].spec["task"] == "cb"
    assert by_key["whole"].size == sum(path.stat().st_size for path in (store / "whole").iterdir())
    assert "checksum" in by_key["bad"].problem


def test_a_store_that_was_never_written_is_empty(tmp_path):
    assert entries(tmp_path / "nowhere") == []


def test_all_damage_is_found_and_nothing_else(store):
    assert {entry.key: bool(problem) for entry, problem in damage(store)} == {
        "whole": False,
        "old": False,
        "bad": True,
        "bitten": True,
        "half": False,
        "old half": False,
    }


def test_damage_to_a_later_part_of_a_trial_is_found(store):
    (store / "half.partial" / "00001-block" / NUMBERS).write_bytes(b"")
    assert {entry.key for entry, problem in damage(store) if problem} == {"bad", "bitten", "half"}


@pytest.mark.parametrize(
    ("asked", "also"),
    [
        ({}, set()),
        ({"partials": True}, {"half"}),
        ({"older_than": timedelta(days=3)}, {"whole"}),
    ],
)
def test_what_no_run_will_read_can_go_and_what_is_asked_for(store, asked, also):
    long_ago = time.time() - 4 * 86400
    os.utime(store / "whole", (long_ago, long_ago))
    gone = {entry.key for entry, _ in unneeded(entries(store), "today", **asked)}
    assert gone == {"old", "bad", "old half", "left", "aside"} | also


def test_what_is_removed_is_gone_with_its_lock(store):
    for entry, _ in unneeded(entries(store), "today"):
        assert remove(store, entry)
    assert set(states(store)) == {"whole", "bitten", "half"}
    assert {path.name for path in store.glob("*.lock")} == {"whole.lock", "bitten.lock"}


def test_what_a_run_is_at_is_not_removed(store):
    [entry] = [entry for entry in entries(store) if entry.key == "half"]
    with FileLock(store / "half.lock"):
        assert not remove(store, entry)
    assert entry.folder.is_dir()


# Why a trial is new

FINETUNING = {"name": "finetuning", "learning_rate": 0.1}
SPEC = {"task": "sst2", "k": 16, "seed": 1, "methods": [FINETUNING]}


def test_equal_specifications_have_no_diff():
    assert diff(SPEC, {**SPEC, "methods": [dict(FINETUNING)]}) == ()


def test_a_change_is_named_by_its_place():
    faster = {**SPEC, "methods": [{**FINETUNING, "learning_rate": 0.2}], "k": 8}
    assert diff(SPEC, faster) == (Change("k", 16, 8), Change("methods/finetuning/learning_rate", 0.1, 0.2))


def test_a_method_that_is_gone_is_a_change():
    gone = diff(SPEC, {**SPEC, "methods": []})
    assert {change.where for change in gone} == {"methods/finetuning/name", "methods/finetuning/learning_rate"}
    assert {change.after for change in gone} == {None}


def test_the_nearest_has_the_fewest_fields_changed():
    far, near = {**SPEC, "k": 8, "seed": 2}, {**SPEC, "methods": []}
    assert nearest(SPEC, [far, near]) == (near, diff(near, SPEC))
    assert nearest(SPEC, []) is None
