"""The store gives back what it was given, or says that it cannot; whatever it lies on, the run goes on."""

from __future__ import annotations

import json
import shutil
import threading
import warnings
from datetime import UTC, datetime

import pytest

from icl_claims.errors import ModelError, StoreWarning
from icl_claims.storage import checksummed
from icl_claims.storage.checksummed import MANIFEST, NUMBERS
from icl_claims.storage.store import GROUP, Store
from tests.fast.stored_trials import assert_same_content, get_or_run, made_up_content

CONTENT = made_up_content()


def never():
    raise AssertionError("what is stored must not be computed again")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "trials")


def test_a_stored_trial_is_given_back_and_not_run_again(store):
    assert store.get("key") is None
    assert store.group("key") == []
    assert get_or_run(store, "key", lambda: CONTENT) is CONTENT
    assert store.group("key") == ["key"]
    assert_same_content(CONTENT, get_or_run(store, "key", never))
    assert_same_content(CONTENT, Store(store.folder).get("key"))


def test_another_key_is_another_trial(store):
    run = []
    for key in ("a", "b", "a"):
        get_or_run(store, key, lambda: run.append(1) or CONTENT)
    assert len(run) == 2


def test_a_trial_that_fails_is_not_kept_and_can_be_run_again(store):
    with pytest.raises(ModelError):
        get_or_run(store, "key", lambda: (_ for _ in ()).throw(ModelError("broken")))
    assert get_or_run(store, "key", lambda: CONTENT) is CONTENT


def test_nothing_but_the_trial_and_its_lock_is_left_behind(store):
    def run():
        store.checkpoint("key").keep("start", {}, {})
        return CONTENT

    get_or_run(store, "key", run)
    assert {path.name for path in store.folder.iterdir()} - {"key.lock"} == {"key"}


def test_the_manifest_is_plain_json(store):
    get_or_run(store, "key", lambda: CONTENT)
    manifest = json.loads((store.folder / "key" / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["format"] == checksummed.FORMAT
    assert manifest["facts"]["spec"] == CONTENT[0]["spec"]


# Damage


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def flip(path, place=-1):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def flip_in(path, word):
    flip(path, path.read_bytes().index(word))


DAMAGES = {
    "arrays cut": lambda folder: cut(folder / NUMBERS),
    "arrays flipped": lambda folder: flip(folder / NUMBERS),
    "arrays gone": lambda folder: (folder / NUMBERS).unlink(),
    "manifest gone": lambda folder: (folder / MANIFEST).unlink(),
    "manifest cut": lambda folder: cut(folder / MANIFEST),
    "manifest empty": lambda folder: (folder / MANIFEST).write_bytes(b""),
    "manifest null": lambda folder: (folder / MANIFEST).write_text("null"),
    "manifest of nothing": lambda folder: (folder / MANIFEST).write_text("{}"),
    "manifest not text": lambda folder: (folder / MANIFEST).write_bytes(b"\xff\xfe"),
    "fact flipped": lambda folder: flip_in(folder / MANIFEST, b"0.25"),
    "checksum flipped": lambda folder: flip(folder / MANIFEST, 20),
    "a file in its place": lambda folder: (shutil.rmtree(folder), folder.write_text("trial")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_trial_is_set_aside_and_run_again(store, damage):
    get_or_run(store, "key", lambda: CONTENT)
    DAMAGES[damage](store.folder / "key")
    with pytest.warns(StoreWarning, match="set aside as key.damaged and is computed again"):
        assert get_or_run(store, "key", lambda: CONTENT) is CONTENT
    assert (store.folder / "key.damaged").exists()
    assert_same_content(CONTENT, get_or_run(store, "key", never))


def test_the_folder_of_another_trial_is_not_taken_for_this_one(store):
    get_or_run(store, "other", lambda: made_up_content(seed=1))
    shutil.copytree(store.folder / "other", store.folder / "key")
    with pytest.warns(StoreWarning, match="expected key, got what belongs to other"):
        assert get_or_run(store, "key", lambda: CONTENT) is CONTENT


def test_the_arrays_of_another_trial_are_not_taken_for_this_ones(store):
    for key, seed in (("key", 0), ("other", 1)):
        get_or_run(store, key, lambda seed=seed: made_up_content(seed))
    shutil.copy(store.folder / "other" / NUMBERS, store.folder / "key" / NUMBERS)
    with pytest.warns(StoreWarning, match="damaged"):
        assert store.get("key") is None


def test_what_another_version_of_the_project_wrote_is_not_read(store, monkeypatch):
    monkeypatch.setattr(checksummed, "FORMAT", checksummed.FORMAT + 1)
    get_or_run(store, "key", lambda: CONTENT)
    monkeypatch.undo()
    with pytest.warns(StoreWarning, match="another version of the project"):
        assert store.get("key") is None


# Nothing can be written


def test_where_nothing_can_be_written_there_is_one_warning(tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "trials")
    with pytest.warns(StoreWarning, match="Nothing more is cached") as warned:
        assert [get_or_run(store, key, lambda: CONTENT) for key in "ab"] == [CONTENT, CONTENT]
    assert len(warned) == 1
    assert store.checkpoint("key") is None


def test_a_store_that_cannot_be_written_is_read_in_silence(store, monkeypatch):
    get_or_run(store, "key", lambda: CONTENT)
    monkeypatch.setattr("filelock.FileLock.acquire", lambda *_a, **_k: (_ for _ in ()).throw(PermissionError()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_content(CONTENT, get_or_run(store, "key", never))


def test_a_file_system_without_locks_cannot_be_written(store, monkeypatch):
    monkeypatch.setattr("filelock.FileLock.acquire", lambda *_a, **_k: (_ for _ in ()).throw(NotImplementedError()))
    with pytest.warns(StoreWarning, match="Nothing more is cached"):
        assert get_or_run(store, "key", lambda: CONTENT) is CONTENT


def test_parts_that_fill_the_disk_make_room_for_the_whole(store, monkeypatch):
    write = checksummed.write_checksummed

    def write_where_there_is_room(folder, *what):
        if (store.folder / "key.partial").exists() and folder.name == "key":
            raise OSError(28, "No space left on device")
        write(folder, *what)

    def run():
        store.checkpoint("key").keep("start", {}, {})
        return CONTENT

    monkeypatch.setattr(checksummed, "write_checksummed", write_where_there_is_room)
    get_or_run(store, "key", run)
    assert_same_content(CONTENT, get_or_run(store, "key", never))


# Several at once


def test_two_who_ask_at_once_have_one_trial_run(store):
    runs, started, given_back = [], threading.Event(), []

    def slow():
        runs.append(1)
        started.wait(0.3)
        return CONTENT

    def ask():
        given_back.append(get_or_run(Store(store.folder), "key", slow))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1
    assert_same_content(CONTENT, given_back[1])


def test_who_does_not_want_to_wait_is_told_that_another_is_at_it(store):
    group = "a" * GROUP
    with store.locked(f"{group}1", wait=True), Store(store.folder).locked(f"{group}2", wait=False) as mine:
        assert not mine
    with Store(store.folder).locked(f"{group}2", wait=False) as mine:
        assert mine


def test_what_was_written_before_is_computed_again_and_replaced(store):
    get_or_run(store, "key", lambda: CONTENT)
    store.checkpoint("half").keep("start", {}, {})
    began, other = datetime.now(UTC), made_up_content(7)
    again = Store(store.folder, since=began)
    assert again.get("key") is None
    assert list(again.checkpoint("half").recall()) == []
    assert get_or_run(again, "key", lambda: other) is other
    for since in (began, None):
        later = Store(store.folder, since=since)
        assert_same_content(other, get_or_run(later, "key", never))
    again.checkpoint("half").keep("start", {}, {})
    assert len(list(Store(store.folder, since=began).checkpoint("half").recall())) == 1
