"""The synthetic tasks: classes are told by their words, and only a trial says which label a class has."""

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from icl_claims.errors import DataError
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import Draw
from icl_claims.tasks.prompts import build_prompts
from icl_claims.tasks.sources import (
    MINIATURE,
    NEUTRAL_WORDS,
    NO_WORD,
    SYNTHETIC,
    TEXTS,
    WORDS,
    TextShape,
    draw_classes,
    draw_texts,
    named_directory,
    real_tasks,
    synthetic_task,
    vocabulary,
)

SPLITS = ("train", "validation")


def rows(data):
    return data.train + data.validation


def class_words(example):
    return {word for text in example.fields.values() for word in text.split()} - set(WORDS[:NEUTRAL_WORDS])


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_examples_have_their_fields_and_balanced_labels(task):
    data = synthetic_task(task)
    for split in SPLITS:
        examples = getattr(data, split)
        counts = Counter(example.label for example in examples)
        assert set(counts) == set(range(task.labels))
        assert max(counts.values()) - min(counts.values()) <= 1
        assert all(set(example.fields) == set(task.fields) for example in examples)
        assert [example.row for example in examples] == list(range(len(examples)))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_classes_share_no_word_but_the_neutral_ones(task):
    data = synthetic_task(task)
    words = {label: set() for label in range(task.labels)}
    for example in data.train + data.validation:
        assert class_words(example), "a text without a word of its class tells nothing"
        words[example.label] |= class_words(example)
    assert all(len(of_class) == TEXTS.vocabulary for of_class in words.values())
    assert not any(words[a] & words[b] for a, b in combinations(words, 2))


def test_examples_are_repeatable_and_differ_between_tasks():
    sst2, again, mr = (synthetic_task(TASKS[name]) for name in ("sst2", "sst2", "mr"))
    assert sst2 == again
    assert sst2.digest == again.digest != mr.digest
    assert class_words(sst2.train[0]) != class_words(mr.train[0])


@pytest.mark.parametrize("name", ["sst2", "sst5"])
def test_a_trial_permutes_the_labels_of_classes_and_nothing_else(name):
    data = synthetic_task(TASKS[name])
    seen = set()
    for seed in range(200):
        trial = data.for_trial(seed)
        assert trial == data.for_trial(seed)
        assert trial.for_trial(seed) is trial.for_trial(seed + 1) is trial, "labels are permuted once"
        pairs = {(old.label, new.label) for old, new in zip(rows(data), rows(trial), strict=True)}
        assert len(pairs) == data.task.labels, "one label for each class, in both splits"
        assert [e.fields for e in trial.train] == [e.fields for e in data.train]
        seen.add(tuple(sorted(pairs)))
    assert len(seen) == 2 if name == "sst2" else 80 < len(seen) <= 120


def test_a_task_of_too_many_labels_is_refused():
    many = replace(TASKS["sst2"], name="many", verbalizers=tuple(f"word{i}" for i in range(13)))
    with pytest.raises(DataError, match="too many labels for invented words: expected at most 12, got 13"):
        synthetic_task(many)
    assert synthetic_task(replace(many, verbalizers=many.verbalizers[:12])).train


def test_labels_of_other_sources_stay_as_they_are():
    data = MINIATURE.read(TASKS["sst5"])
    assert data.for_trial(3) is data


def test_prompts_of_two_seeds_give_one_class_two_labels(word_encoder):
    data = synthetic_task(TASKS["subj"])
    flipped = {data.for_trial(seed).train[0].label: seed for seed in range(20)}
    draws = (Draw(16, flipped[label], queries=128) for label in (0, 1))
    one, other = (build_prompts(data, word_encoder(), draw, context_length=10_000) for draw in draws)
    drawn_before = data.for_trial(flipped[0])
    assert build_prompts(drawn_before, word_encoder(), Draw(16, flipped[0], queries=128), context_length=10_000) == one
    assert one.query_rows == other.query_rows
    assert all(a != b for a, b in zip(one.gold, other.gold, strict=True))
    label_of = dict(zip(other.demonstration_rows, (s[-1] for s in other.demonstrations.sequences), strict=True))
    shared = set(one.demonstration_rows) & set(label_of)
    assert shared
    for row, sequence in zip(one.demonstration_rows, one.demonstrations.sequences, strict=True):
        assert row not in shared or sequence[-1] != label_of[row]


def test_texts_have_the_words_that_their_shape_says():
    rng = np.random.default_rng(0)
    shape = TextShape(vocabulary=5, class_words=(1, 2), neutral_words=(0, 3))
    classes = draw_classes(rng, 7, 3, 5)
    chosen = rng.integers(0, 3, (7, 50))
    texts = draw_texts(rng, shape, classes, chosen)
    neutral = ((texts >= 0) & (texts < NEUTRAL_WORDS)).sum(axis=2)
    assert set(neutral.flat) == {0, 1, 2, 3}
    for prompt in range(7):
        for text, label in zip(texts[prompt], chosen[prompt], strict=True):
            mine = [word for word in text if word >= NEUTRAL_WORDS]
            assert 1 <= len(set(mine)) == len(mine) <= 2
            assert set(mine) <= set(classes[prompt, label])
            ends = np.flatnonzero(text == NO_WORD)
            assert len(ends) == 0 or (text[ends[0] :] == NO_WORD).all(), "no gap within a text"


def test_no_word_is_in_the_vocabulary_twice():
    words = vocabulary()
    assert len(words) == len(set(words))
    assert {"Negative", "Neither", "Question", ":", "?"} <= set(words)


def test_the_environment_replaces_miniature_tasks_only(monkeypatch, tmp_path):
    monkeypatch.setenv("ICL_CLAIMS_DATA", str(tmp_path))
    assert named_directory(None, MINIATURE) == tmp_path
    assert named_directory(None, SYNTHETIC) is None
    assert named_directory("here", SYNTHETIC).name == "here"


def test_a_data_directory_that_is_none_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        real_tasks(tmp_path / "nowhere")
