"""The commands `icl-claims cache` list, explain, clear and check what is stored."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from icl_claims import cli
from icl_claims.cli.cache import age
from icl_claims.experiments.plan import plan_trials, resolve
from icl_claims.experiments.profiles import PROFILES, Choices
from icl_claims.experiments.spec import code_digest
from icl_claims.experiments.trial_store import TrialStore
from icl_claims.storage.checksummed import NUMBERS, Checkpoint
from icl_claims.storage.store import Store, default_store
from tests.fast.stored_trials import made_up_content, made_up_result


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path))
    monkeypatch.delenv("ICL_CLAIMS_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return Store(default_store())


@pytest.fixture
def run():
    def run(*arguments, code=0):
        done = CliRunner().invoke(cli.app, ["cache", *map(str, arguments)])
        assert done.exit_code == code, done.output
        return done.output

    return run


def put(store, key, **spec):
    store.put(key, made_up_content(**{"code": code_digest(), **spec}))


def planned(**changes):
    return plan_trials(resolve(Choices(PROFILES["tiny"], tasks=("sst2",), **changes)))


def test_what_is_stored_is_listed_with_task_model_size_and_age(store, run):
    put(store, "abc", methods=[{"name": "finetuning"}], queries=40)
    store.checkpoint("half").keep("start", {"spec": {"task": "cb", "methods": []}}, {})
    lines = run("ls").splitlines()
    [whole] = [line for line in lines if "abc" in line]
    assert all(word in whole for word in ("whole", "sst2", "made up", "finetuning", "40", "kB", " s "))
    [half] = [line for line in lines if "half" in line]
    assert "partial" in half
    assert "cb" in half
    assert "1 trials" in lines[-1]


def test_the_list_is_also_json(store, run):
    put(store, "abc")
    [entry] = json.loads(run("ls", "--json"))
    assert (entry["key"], entry["state"], entry["spec"]["task"]) == ("abc", "whole", "sst2")


def test_an_empty_store_is_listed_too(run):
    assert "0 trials" in run("ls")
    assert "0 trials checked, 0 damaged" in run("verify")


# Why a trial is new


def test_a_planned_trial_is_compared_with_the_nearest_stored_one(run):
    nearest, far = planned(k=8)[0], planned(k=9, queries=5)[0]
    for spec in (nearest, far):
        TrialStore().get_or_run(spec, lambda new: made_up_result())
    told = json.loads(run("why", "sst2", "--profile", "tiny", "--k", 10, "--json"))
    assert told["new"] == [{"where": "k", "before": 8, "after": 10}]
    assert "It is new" not in run("why", "sst2", "--profile", "tiny", "--k", 10)


def test_a_trial_that_is_stored_is_not_new(run):
    for spec in planned(k=8):
        TrialStore().get_or_run(spec, lambda new: made_up_result())
    assert "It is not new" in run("why", "sst2", "--profile", "tiny", "--k", 8)


def test_in_an_empty_store_every_trial_is_new(run):
    assert "holds no other trial" in run("why", "sst2", "--profile", "tiny")


def test_stored_trials_are_compared_by_the_beginning_of_a_key(store, run):
    put(store, "abc", k=3)
    put(store, "def", k=4)
    page = run("why", "ab")
    assert [word for word in ("k", "4", "3") if word in page] == ["k", "4", "3"]


def test_trials_of_one_setting_are_told_apart_by_the_letters_that_are_shown(store, run):
    [spec, *_] = planned(k=8)
    for k, one in enumerate((spec, replace(spec, methods=spec.methods[:1]))):
        put(store, one.key(), k=k)
    shown = {line.split()[1] for line in run("ls").splitlines() if "whole" in line}
    assert len(shown) == 2
    for letters in shown:
        assert "stored" in run("why", letters)


def test_a_digest_is_explained(store, run):
    put(store, "abc")
    put(store, "def", code="yesterday")
    assert "code (the code that makes the numbers)" in run("why", "def")


def test_a_specification_is_read_from_a_file(store, run, tmp_path):
    put(store, "abc", k=3)
    file = tmp_path / "trial.json"
    file.write_text(json.dumps({"spec": made_up_content(code=code_digest(), seed=7)[0]["spec"]}))
    assert "seed" in run("why", file)


@pytest.mark.parametrize("spec", ["zz", "file"])
def test_what_names_no_specification_is_a_named_error(run, tmp_path, spec):
    file = tmp_path / "file"
    file.write_text("[]")
    done = CliRunner().invoke(cli.app, ["cache", "why", str(file) if spec == "file" else spec])
    assert type(done.exception).__name__ == "UsageError"


# Clearing and checking


def test_only_what_no_run_will_read_is_removed(store, run):
    put(store, "today")
    put(store, "yesterday", code="yesterday")
    assert "would be freed" in run("gc", "--dry-run")
    assert store.read("yesterday")
    assert "yesterday" in run("gc")
    assert store.read("today")
    assert not store.read("yesterday")


def test_old_and_interrupted_trials_are_removed_if_asked(store, run):
    put(store, "abc")
    store.checkpoint("half").keep("start", {"spec": {"code": code_digest()}}, {})
    assert "0 bytes freed" in run("gc", "--older-than", 1)
    assert "half" in run("gc", "--partials")
    assert "abc" in run("gc", "--older-than", 0)
    assert not [path for path in store.folder.iterdir() if path.suffix != ".lock"]


def test_a_checkpoint_that_a_kill_left_beside_the_complete_trial_is_removed(store, run, monkeypatch):
    store.checkpoint("abc").keep("start", {"spec": {"code": code_digest()}}, {})
    with monkeypatch.context() as killed:
        killed.setattr(Checkpoint, "remove", lambda self: None)
        put(store, "abc")
    (store.folder / "abc.partial" / "00000-start" / NUMBERS).unlink()
    assert "0 damaged" in run("verify")
    assert "left over" in run("gc")
    assert store.read("abc")
    assert not (store.folder / "abc.partial").exists()


def test_damage_is_found_and_is_an_exit_code(store, run):
    put(store, "abc")
    put(store, "def")
    assert "2 trials checked, 0 damaged" in run("verify")
    (store.folder / "abc" / NUMBERS).write_bytes(b"")
    page = run("verify", code=1)
    assert "abc in trials is damaged" in page
    assert "2 trials checked, 1 damaged" in page


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "1 s"), (59, "59 s"), (125, "2 min"), (3 * 3600 + 1, "3 h"), (50 * 3600, "2 d")]
)
def test_ages_are_said_in_words(seconds, words):
    assert age(datetime.now(UTC) - timedelta(seconds=seconds)) == words
