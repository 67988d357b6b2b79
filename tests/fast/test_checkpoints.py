"""The parts of an interrupted trial are given back in order, each whole or not at all."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pytest

from icl_claims.errors import StoreWarning
from icl_claims.storage.checksummed import NUMBERS, START, Checkpoint, parts_in


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "key.partial"


@pytest.fixture
def kept(folder):
    partial = Checkpoint(folder, "key")
    partial.keep(START, {"tokens": 9}, {})
    for number in range(3):
        partial.keep("block", {"number": number}, {"values": np.full((2, number), 0.1)})
    return partial


def recalled(folder, key="key"):
    return list(Checkpoint(folder, key).recall())


def numbers(parts):
    return [part.facts["number"] for part in parts if part.kind == "block"]


def test_parts_come_back_in_their_order(kept, folder):
    parts = recalled(folder)
    assert [part.kind for part in parts] == [START, "block", "block", "block"]
    assert parts[0].facts == {"tokens": 9}
    assert [part.numbers["values"].shape for part in parts[1:]] == [(2, 0), (2, 1), (2, 2)]


def test_a_later_process_goes_on_after_the_last_part(kept, folder):
    later = Checkpoint(folder, "key")
    list(later.recall())
    later.keep("block", {"number": 3}, {})
    assert numbers(recalled(folder)) == [0, 1, 2, 3]


def test_a_damaged_part_is_left_out_with_a_warning(kept, folder):
    damaged = parts_in(folder)[2] / NUMBERS
    damaged.write_bytes(damaged.read_bytes()[:-1])
    later = Checkpoint(folder, "key")
    with pytest.warns(StoreWarning, match="computed again"):
        assert numbers(later.recall()) == [0, 2]
    later.keep("block", {"number": 1}, {})
    with pytest.warns(StoreWarning):
        assert numbers(recalled(folder)) == [0, 2, 1]


def test_a_part_that_another_trial_finished_is_left_out(kept, folder):
    other = folder.with_name("other.partial")
    shutil.copytree(folder, other)
    with pytest.warns(StoreWarning, match="what belongs to key"):
        assert recalled(other, "other") == []
    assert not other.exists()


def test_without_its_start_a_trial_is_begun_anew(kept, folder):
    shutil.rmtree(parts_in(folder)[0])
    assert recalled(folder) == []
    assert not folder.exists()


def test_what_a_killed_process_half_wrote_is_no_part(kept, folder):
    shutil.copytree(parts_in(folder)[3], folder / "00004-block.new")
    later = Checkpoint(folder, "key")
    assert numbers(later.recall()) == [0, 1, 2]
    later.keep("block", {"number": 3}, {})
    assert not list(folder.glob("*.new"))


def test_an_unwritable_checkpoint_gives_one_warning(folder):
    folder.parent.joinpath(folder.name).write_text("in the way")
    partial = Checkpoint(folder, "key")
    with pytest.warns(StoreWarning, match="no checkpoint"):
        partial.keep(START, {}, {})
    with warnings.catch_warnings(action="error"):
        partial.keep(START, {}, {})
    assert list(partial.recall()) == []


def test_removed_parts_are_gone(kept, folder):
    kept.remove()
    assert not folder.exists()
    kept.keep(START, {}, {})
    assert [part.kind for part in recalled(folder)] == [START]
