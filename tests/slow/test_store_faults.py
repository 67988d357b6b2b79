"""Nothing is lost, and nothing wrong is read: runs that are killed, entries that rot, races, and full disks."""

from __future__ import annotations

import random
import shutil
import warnings
from pathlib import Path

import pytest

from icl_claims.errors import StoreWarning
from icl_claims.storage.checksummed import MANIFEST, NUMBERS, parts_in, read_manifest
from icl_claims.storage.store import Store, damage, entries
from tests.fast.stored_trials import assert_same_content, get_or_run, made_up_content
from tests.fast.trials_apart import apart, ask_in_turn, run_through_store

KILLS = 10
CORRUPTIONS = 200
KEYS = [f"trial{number}" for number in range(6)]


class Apart:
    """A process that runs the small trial."""

    def __init__(self, folder, **how):
        self.told, told = apart().Pipe()
        self.process = apart().Process(target=run_through_store, args=(folder, told), kwargs=how)
        self.process.start()
        assert self.told.recv() == "ready"

    def kill(self, after):
        self.process.join(after)
        self.process.kill()  # SIGKILL
        self.process.join()

    def finish(self):
        """What it kept, what it was warned of, and its numbers."""
        said = self.told.recv()
        self.process.join()
        return said


def bits_of(folder):
    """The numbers of the only trial in a store, byte by byte, and its facts but the time."""
    [entry] = entries(folder)
    facts = read_manifest(entry.folder, entry.key).facts
    provenance = {**facts["provenance"], "finished": ""}
    return (entry.folder / NUMBERS).read_bytes(), {**facts, "seconds": {}, "provenance": provenance}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupted: its bits, the parts it kept, its seconds and its numbers."""
    folder = tmp_path_factory.mktemp("whole")
    kept, warned, numbers = Apart(folder).finish()
    assert not warned
    [entry] = entries(folder)
    return bits_of(folder), kept, sum(read_manifest(entry.folder).facts["seconds"].values()), numbers


def test_killed_at_any_moment_a_run_goes_on_to_the_same_bytes(whole, tmp_path):
    bits, parts, seconds, _ = whole
    draw, interrupted = random.Random(20), 0
    for number in range(KILLS):
        folder = tmp_path / str(number)
        Apart(folder).kill(after=draw.uniform(0, seconds))
        [*partial] = folder.glob("*.partial")
        is_whole = any(entry.state == "whole" for entry in entries(folder))  # what is left beside it, nobody needs
        finished = len(parts_in(partial[0])) if partial and not is_whole else 0
        interrupted += bool(finished)
        kept, warned, _ = Apart(folder).finish()
        assert not warned
        assert finished + len(kept) == len(parts) or (not finished and not kept)
        assert bits_of(folder) == bits
        assert not any(entry.state == "partial" for entry in entries(folder))
    assert interrupted > KILLS / 2


def test_a_run_killed_again_and_again_ends_with_the_same_bytes(whole, tmp_path):
    bits, parts, seconds, _ = whole
    draw, before = random.Random(21), 0
    for _ in range(4):
        Apart(tmp_path).kill(after=draw.uniform(0, seconds / 3))
        [*partial] = tmp_path.glob("*.partial")
        whole_or_nothing = len(parts) if entries(tmp_path) else 0
        finished = len(parts_in(partial[0])) if partial else whole_or_nothing
        assert finished >= before
        before = finished
    Apart(tmp_path).finish()
    assert bits_of(tmp_path) == bits


# Entries that rot


def flip_a_bit(draw, folder, _other):
    path = folder / draw.choice([MANIFEST, NUMBERS])
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def cut(draw, folder, _other):
    path = folder / draw.choice([MANIFEST, NUMBERS])
    path.write_bytes(path.read_bytes()[: draw.randrange(path.stat().st_size)])


def lengthen(draw, folder, _other):
    path = folder / draw.choice([MANIFEST, NUMBERS])
    path.write_bytes(path.read_bytes() + draw.randbytes(draw.randrange(1, 9)))


def delete(draw, folder, _other):
    (folder / draw.choice([MANIFEST, NUMBERS])).unlink()


def exchange_a_file(draw, folder, other):
    name = draw.choice([MANIFEST, NUMBERS])
    shutil.copy(other / name, folder / name)


def exchange_all(_draw, folder, other):
    shutil.rmtree(folder)
    shutil.copytree(other, folder)


def test_every_corrupted_entry_is_set_aside_and_computed_again(tmp_path):
    store, draw = Store(tmp_path), random.Random(200)
    contents = {"mine": made_up_content(0), "other": made_up_content(1)}
    for key, content in contents.items():
        get_or_run(store, key, lambda content=content: content)
    ways = [flip_a_bit] * 5 + [cut, lengthen, delete, exchange_a_file, exchange_all]
    for number in range(CORRUPTIONS):
        runs = []
        ways[number % len(ways)](draw, tmp_path / "mine", tmp_path / "other")
        assert {entry.key for entry, problem in damage(tmp_path) if problem} == {"mine"}
        with pytest.warns(StoreWarning, match="set aside"):
            get_or_run(store, "mine", lambda runs=runs: runs.append(1) or contents["mine"])
        assert runs
        assert_same_content(store.get("mine"), contents["mine"])
    assert_same_content(store.get("other"), contents["other"])


# Races


def test_four_processes_that_race_run_each_trial_once(tmp_path):
    log = tmp_path / "log"
    racers = [apart().Process(target=ask_in_turn, args=(tmp_path / "trials", KEYS, log)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0] * 4
    assert sorted(log.read_text().split()) == KEYS
    assert not [problem for _, problem in damage(tmp_path / "trials") if problem]


# Full disks


def test_a_run_that_can_write_no_file_ends_with_the_same_numbers(whole, tmp_path):
    _, warned, numbers = Apart(tmp_path, limit=256).finish()
    assert numbers == whole[3]
    assert any("no checkpoint" in warning for warning in warned)
    assert any("Nothing more is cached" in warning for warning in warned)
    assert not [entry for entry in entries(tmp_path) if entry.state == "whole"]
    assert Apart(tmp_path).finish()[1] == []
    assert bits_of(tmp_path) == whole[0]


def test_a_run_that_can_write_small_files_leaves_nothing_broken(whole, tmp_path):
    _, warned, numbers = Apart(tmp_path, limit=4096).finish()
    assert numbers == whole[3]
    assert warned
    assert not [problem for _, problem in damage(tmp_path) if problem]


def test_a_disk_that_fills_at_any_write_loses_no_number(tmp_path, monkeypatch):
    content, write = made_up_content(), Path.write_bytes
    for room in range(1, 9):
        store, writes = Store(tmp_path / str(room)), []

        def write_where_there_is_room(path, content, room=room, writes=writes):
            writes.append(path)
            if len(writes) > room:
                write(path, content[: len(content) // 2])
                raise OSError(28, "No space left on device")
            return write(path, content)

        def run(store=store):
            for kind in ("start", "queries"):
                store.checkpoint("key").keep(kind, {}, {})
            return content

        monkeypatch.setattr(Path, "write_bytes", write_where_there_is_room)
        with warnings.catch_warnings(action="ignore", category=StoreWarning):
            assert get_or_run(store, "key", run) is content
        monkeypatch.undo()
        assert not [problem for _, problem in damage(store.folder) if problem]
        assert_same_content(get_or_run(store, "key", lambda: content), content)
