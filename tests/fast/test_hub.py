"""The real tasks come from pinned data sets, whose rows are known again; of a folder it is told how it differs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.errors import DataError, UsageError
from icl_claims.experiments.profiles import PROFILES, Choices
from icl_claims.tasks import TASKS, catalogue, read_task
from icl_claims.tasks.hub import differences, read_from_hub
from icl_claims.tasks.hub_dataset import HubDataset, HubSplit, is_hub_dataset, rows_digest

datasets = pytest.importorskip("datasets")
COMMIT = "0" * 40
ROWS = {
    "train": [({"sentence": f"text {number} "}, number % 2) for number in range(6)],
    "test": [({"sentence": "good … é ½"}, 1), ({"sentence": "bad"}, 0)],
}
README = """\
---
configs:
- config_name: small
  data_files:
  - split: train
    path: small/train.jsonl
  - split: test
    path: small/test.jsonl
---
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder as a repository of data sets on the Hub is one."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "repository"
    (folder / "small").mkdir(parents=True)
    (folder / "README.md").write_text(README)
    for split, rows in ROWS.items():
        lines = [json.dumps({**texts, "idx": 7, "label": label}) for texts, label in rows]
        (folder / "small" / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def pinned(folder, **changes):
    """SST2 as the rows of that repository, whose test split is our validation."""
    splits = {
        ours: replace(HubSplit(theirs, len(ROWS[theirs]), rows_digest(ROWS[theirs])), **changes.get(ours, {}))
        for ours, theirs in (("train", "train"), ("validation", "test"))
    }
    return replace(TASKS["sst2"], hub=HubDataset(str(folder), COMMIT, configuration="small", **splits))


@pytest.fixture
def sst2(repository, monkeypatch):
    task = pinned(repository)
    monkeypatch.setitem(catalogue.TASKS, "sst2", task)
    return task


def test_a_task_is_read_with_its_own_fields_in_the_order_of_its_rows(repository):
    data = read_from_hub(pinned(repository))
    assert [(one.fields, one.label) for one in data.train] == ROWS["train"]
    assert [(one.fields, one.label) for one in data.validation] == ROWS["test"]
    assert [one.row for one in data.train] == list(range(6))
    assert data.source == "hub"
    assert data.digest == read_from_hub(pinned(repository)).digest


@pytest.mark.parametrize(
    ("split", "changes", "said"),
    [
        ("train", {"rows": 7}, "6 rows instead of 7"),
        ("validation", {"digest": "1" * 64}, "as many rows, but other ones, or in another order"),
        ("train", {"digest": "", "known": {"1": "1" * 64}}, "another row 2"),
    ],
)
def test_rows_that_are_not_the_pinned_ones_are_refused(repository, split, changes, said):
    with pytest.raises(DataError, match=f"not what it was when it was pinned.*{said}"):
        read_from_hub(pinned(repository, **{split: changes}))


def test_single_rows_are_known_where_the_digest_of_all_is_not(repository):
    known = {"4": rows_digest(ROWS["train"][4:5])}
    assert len(read_from_hub(pinned(repository, train={"digest": "", "known": known})).train) == 6


def test_what_is_not_there_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"could not be had from the Hugging Face Hub.*icl-claims data fetch DIR"):
        read_from_hub(pinned(tmp_path / "none"))


def test_without_the_library_it_is_said_how_to_install_it(repository, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(UsageError, match=r"pip install 'icl-claims\[hub\]'"):
        read_from_hub(pinned(repository))


def test_a_row_without_a_field_is_named(repository):
    for split in ROWS:
        (repository / "small" / f"{split}.jsonl").write_text('{"text": "good", "label": 1}\n')
    with pytest.raises(DataError, match=r"train, row 1: field 'sentence'"):
        read_from_hub(pinned(repository))


def test_hub_is_a_source_of_a_run(sst2):
    choices = Choices(PROFILES["embedded"], data=catalogue.Path("hub"), tasks=("sst2",))
    assert choices.source.name == "the real tasks on the Hugging Face Hub"
    assert len(choices.source.read(sst2).train) == 6


# What is declared


def test_every_task_of_the_papers_is_pinned():
    for name in catalogue.PAPERS_TASKS:
        found = TASKS[name].hub
        assert found is not None
        for split in (found.train, found.validation):
            assert split.digest or split.known
            assert all(int(place) < split.rows for place in split.known)


@pytest.mark.parametrize(
    "broken",
    [
        {"revision": "main"},
        {"train": {"name": "train"}},
        {"train": {"name": "train", "rows": 0}},
        {"validation": {"name": "test", "rows": 2, "digest": "abc"}},
        {"validation": {"name": "test", "rows": 2, "known": {"1": "abc"}}},
        {"repository": ""},
        {"more": 1},
    ],
)
def test_a_declaration_that_pins_nothing_is_refused(broken):
    split = {"name": "train", "rows": 2, "digest": "a" * 64}
    whole = {"repository": "a/b", "revision": COMMIT, "train": split, "validation": {**split, "known": {"0": "b" * 64}}}
    assert is_hub_dataset(whole)
    assert not is_hub_dataset({**whole, **broken})


@given(st.lists(st.tuples(st.text(), st.integers(0, 4)), max_size=4), st.lists(st.text(), max_size=3))
def test_a_digest_tells_rows_apart(rows, others):
    one = [({"text": text}, label) for text, label in rows]
    other = [({"text": text}, 0) for text in others]
    assert (rows_digest(one) == rows_digest(other)) == (one == other)


def test_the_order_of_fields_does_not_matter_and_that_of_rows_does():
    row = ({"premise": "a", "hypothesis": "b"}, 1)
    turned = ({"hypothesis": "b", "premise": "a"}, 1)
    assert rows_digest([row]) == rows_digest([turned])
    assert rows_digest(ROWS["train"]) != rows_digest(ROWS["train"][::-1])


def test_differences_are_none_where_rows_are_the_same():
    data = read_task("cb")
    rows = [(one.fields, one.label) for one in data.train]
    split = HubSplit("train", len(rows), rows_digest(rows), {"3": rows_digest(rows[3:4])})
    assert list(differences(split, data.train)) == []
    assert list(differences(split, data.train[:-1])) == [f"{len(rows) - 1} rows instead of {len(rows)}"]


# The commands


def test_what_is_fetched_is_what_a_folder_is_checked_against(run, sst2, tmp_path):
    code, _, err = run("data", "fetch", tmp_path / "data", "--tasks", "sst2")
    assert (code, "6 rows" in err) == (0, True)
    fetched, hub = read_task(sst2, tmp_path / "data"), read_from_hub(sst2)
    assert (fetched.train, fetched.validation) == (hub.train, hub.validation)
    code, out, _ = run("data", "check", tmp_path / "data", "--tasks", "sst2", "--json")
    assert code == 0
    assert [(one["rows"], one["same"], one["differs"]) for one in json.loads(out)] == [(6, True, ""), (2, True, "")]
    code, _, err = run("data", "fetch", tmp_path / "data", "--tasks", "sst2")
    assert (code, err.count("was there")) == (0, 2)


def test_a_file_that_holds_something_else_is_not_written_over(run, sst2, tmp_path):
    file = tmp_path / "sst2" / "train.jsonl"
    file.parent.mkdir()
    file.write_text("mine\n")
    code, _, err = run("data", "fetch", tmp_path, "--tasks", "sst2")
    assert (code, "holds something else" in err, file.read_text()) == (2, True, "mine\n")


def test_a_folder_is_told_how_it_differs_and_what_is_missing(run, sst2, tmp_path):
    run("data", "fetch", tmp_path, "--tasks", "sst2")
    file = tmp_path / "sst2" / "train.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    code, out, _ = run("data", "check", tmp_path, "--tasks", "sst2")
    assert (code, "5 rows instead of 6" in " ".join(out.split())) == (0, True)
    file.unlink()
    code, out, _ = run("data", "check", tmp_path, "--tasks", "sst2", "--json")
    assert code == 1
    assert "train.jsonl" in json.loads(out)[0]["differs"]
