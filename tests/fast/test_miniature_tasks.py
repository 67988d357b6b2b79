"""The miniature tasks are balanced, varied, as long as the real ones, and free of near-duplicates."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path
from statistics import mean, quantiles

import pytest

TASKS = Path(__file__).parents[2] / "fixtures" / "tasks"
FIELDS = {
    "sst2": ("sentence",),
    "sst5": ("text",),
    "mr": ("text",),
    "subj": ("text",),
    "agnews": ("text",),
    "cb": ("premise", "hypothesis"),
}
LABELS = {"sst2": 2, "sst5": 5, "mr": 2, "subj": 2, "agnews": 4, "cb": 3}
ROWS = {"train": 96, "validation": 128}
# Words of the 10th, 50th and 90th percentile in the validation files of the real data sets.
REAL_WORDS = {
    "sst2": (9, 19, 32),
    "sst5": (8, 19, 32),
    "mr": (8, 21, 34),
    "subj": (13, 23, 38),
    "agnews": (26, 37, 48),
    "cb": (26, 53, 110),
}


def read(task: str, split: str) -> list[dict]:
    lines = (TASKS / task / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def texts(task: str, split: str) -> list[str]:
    return [row[FIELDS[task][0]] for row in read(task, split)]


def words(text: str) -> list[str]:
    return [word for word in text.lower().replace(",", " ").replace(".", " ").split() if any(c.isalnum() for c in word)]


@pytest.mark.parametrize("split", ROWS)
@pytest.mark.parametrize("task", FIELDS)
def test_every_row_has_the_real_fields_and_the_counts_are_fixed(task: str, split: str) -> None:
    rows = read(task, split)
    assert len(rows) == ROWS[split]
    for row in rows:
        assert set(row) == {*FIELDS[task], "label"}
        assert all(isinstance(row[field], str) and row[field].strip() == row[field] != "" for field in FIELDS[task])


@pytest.mark.parametrize("split", ROWS)
@pytest.mark.parametrize("task", FIELDS)
def test_labels_are_balanced_and_mixed(task: str, split: str) -> None:
    labels = [row["label"] for row in read(task, split)]
    counts = Counter(labels)
    assert set(counts) == set(range(LABELS[task]))
    assert max(counts.values()) - min(counts.values()) <= 1
    longest = run = 1
    for before, label in pairwise(labels):
        run = run + 1 if before == label else 1
        longest = max(longest, run)
    assert longest <= 8, "the rows of one label must not stand together"


@pytest.mark.parametrize("task", FIELDS)
def test_no_two_texts_share_half_of_their_words(task: str) -> None:
    every = [(text, set(words(text))) for split in ROWS for text in texts(task, split)]
    near = [(a, b) for (a, in_a), (b, in_b) in combinations(every, 2) if len(in_a & in_b) >= 0.5 * len(in_a | in_b)]
    assert not near, f"near-duplicates: {near[:3]}"


@pytest.mark.parametrize("task", FIELDS)
def test_openings_vary(task: str) -> None:
    openings = Counter(" ".join(words(text)[:3]) for split in ROWS for text in texts(task, split))
    opening, times = openings.most_common(1)[0]
    assert times <= 6, f"{times} texts open with {opening!r}"


@pytest.mark.parametrize("task", FIELDS)
def test_vocabulary_is_wide(task: str) -> None:
    every = [word for split in ROWS for text in texts(task, split) for word in words(text)]
    assert len(set(every)) >= 1000


@pytest.mark.parametrize("split", ROWS)
@pytest.mark.parametrize("task", FIELDS)
def test_lengths_are_like_the_real_ones(task: str, split: str) -> None:
    lengths = [len(text.split()) for text in texts(task, split)]
    deciles = quantiles(lengths, n=10)
    tenth, median, ninetieth = REAL_WORDS[task]
    assert 0.6 * tenth <= deciles[0] <= 1.6 * tenth
    assert 0.75 * median <= deciles[4] <= 1.25 * median
    assert 0.7 * ninetieth <= deciles[8] <= 1.3 * ninetieth


@pytest.mark.parametrize("task", FIELDS)
def test_length_does_not_tell_the_label(task: str) -> None:
    by_label: dict[int, list[int]] = {}
    for split in ROWS:
        for row in read(task, split):
            by_label.setdefault(row["label"], []).append(len(row[FIELDS[task][0]].split()))
    means = [mean(lengths) for lengths in by_label.values()]
    assert max(means) <= 1.25 * min(means)
