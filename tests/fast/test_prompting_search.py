"""How a model is prompted is chosen on training examples only, by the tasks that it is shown to learn in context."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from icl_claims.errors import PromptError, UsageError
from icl_claims.experiments import prompting_search
from icl_claims.experiments.prompting_search import (
    Learning,
    Prompting,
    PromptingSearch,
    learned_tasks,
    learning_by_prompting,
    ranked,
    separators_of,
)
from icl_claims.methods import InContext, ZeroShot
from icl_claims.metrics import predicted_labels
from icl_claims.models.random_models import random_model
from icl_claims.protocol import Protocol
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import Draw, Example, TaskData, shuffle
from icl_claims.tasks.prompts import build_prompts

WORDS = ("warm", "dull", "slow", "kind", "loud", "rare")


class NeverRead(tuple):
    """An evaluation set that breaks when it is looked at."""

    def __iter__(self):
        raise AssertionError("the queries were read")

    __len__ = __getitem__ = __iter__


class Lines:
    """Writes the ends of lines as words of their own."""

    def __init__(self, words):
        self.words, self.bos, self.separator, self.unknown = words, 0, 2, frozenset()

    def encode(self, text):
        return self.words.encode(text.replace("\n", " <line> "))


def example(row):
    return Example({"sentence": " ".join(WORDS[(row + i) % 6] for i in range(1 + row % 3))}, row % 2, row)


DATA = TaskData(TASKS["sst2"], tuple(map(example, range(20))), NeverRead(), "directory", "digest of the data")
SEARCH = PromptingSearch(ks=(2, 5), separators=("end_of_text", "newline"), seeds=(1, 2, 3), held_out=6, batch=3)


@pytest.fixture
def model(word_encoder):
    made = random_model("llama", 2, 0)
    made.tokens = Lines(word_encoder())
    return made


def test_the_queries_of_the_task_are_never_read(model):
    found = learning_by_prompting(model, DATA, SEARCH)
    ways = product(SEARCH.ks, SEARCH.separators, SEARCH.calibrations)
    assert set(found) == {Prompting(*way) for way in ways}


def test_a_search_that_asked_the_queries_would_be_caught(model):
    with pytest.raises(AssertionError, match="the queries were read"):
        build_prompts(DATA, model.tokens, Draw(2, 1), context_length=500)


def test_every_way_is_asked_the_same_training_examples_and_no_demonstration(model):
    for seed in SEARCH.seeds:
        drawn = [one.row for one in shuffle(DATA.train, seed)]
        for k, separator in product(SEARCH.ks, SEARCH.separators):
            prompts = SEARCH.prompts(model, DATA, seed, k, separator)
            assert set(prompts.demonstration_rows) == set(drawn[:k])
            assert set(prompts.query_rows) == set(drawn[5:11])
            assert [DATA.train[row].label for row in prompts.query_rows] == list(prompts.gold)


@pytest.mark.parametrize("way", [Prompting(2, "newline", "batch"), Prompting(5, "end_of_text", "contextual")])
def test_accuracies_are_those_of_trials_on_the_same_examples(model, way):
    accuracies: dict[str, list[float]] = {"in_context": [], "zero_shot": []}
    gold: list[int] = []
    for seed in SEARCH.seeds:
        drawn = shuffle(DATA.train, seed)
        data = replace(DATA, train=drawn[: way.k], validation=drawn[5:11])
        readings = Protocol(calibration=way.calibration, separator=way.separator)
        prompts = build_prompts(data, model.tokens, Draw(way.k, seed), readings, context_length=500)
        for name, method in (("in_context", InContext()), ("zero_shot", ZeroShot())):
            learned = method.learn(model, prompts.demonstrations)
            asked, without = (
                np.array([learned.answer(of.some([i])).log_probabilities[0].double().numpy() for i in range(len(of))])
                for of in (prompts.queries, prompts.content_free)
            )
            without = without.reshape(-1, 2)
            halves = [predicted_labels(half, without, way.calibration) for half in (asked[:3], asked[3:])]
            labels = np.concatenate(halves)
            accuracies[name].append(float((labels == np.array(prompts.gold)).mean()))
        gold += prompts.gold
    found = learning_by_prompting(model, DATA, SEARCH)[way]
    assert found.in_context == pytest.approx(np.mean(accuracies["in_context"]))
    assert found.zero_shot == pytest.approx(np.mean(accuracies["zero_shot"]))
    assert found.most_frequent == pytest.approx(max(gold.count(0), gold.count(1)) / len(gold))


def test_what_is_found_follows_from_the_seeds(model):
    one, same = (learning_by_prompting(model, DATA, SEARCH) for _ in range(2))
    assert one == same
    rows = [SEARCH.prompts(model, DATA, seed, 2, "newline").query_rows for seed in (1, 4)]
    assert rows[0] != rows[1]


def columns(*means):
    """A column of 20 queries for each of eight draws, about so many right."""
    stream = np.random.default_rng(0)
    return [[(stream.permutation(20) < 20 * mean).astype(float) for _ in range(8)] for mean in means]


@pytest.mark.parametrize(
    ("right", "before", "guessed", "learns"),
    [(0.9, 0.5, 0.5, True), (0.9, 0.9, 0.5, False), (0.9, 0.5, 0.9, False), (0.4, 0.5, 0.5, False)],
)
def test_a_task_is_learned_where_both_are_beaten(right, before, guessed, learns):
    ragged = [np.array([*column[1:], 1 - column[0]]) if i % 2 else column for i, column in enumerate(columns(right)[0])]
    found = prompting_search._learning(tuple(range(8)), ragged, *columns(before, guessed))
    assert found.learns == learns
    assert found.margin == pytest.approx(found.in_context - max(found.zero_shot, found.most_frequent))


def test_the_way_that_the_model_learns_by_is_found(model, monkeypatch):
    best = Prompting(5, "newline", "batch")

    def planted(_model, prompts, method, search):
        newline = prompts.demonstrations.separator != (2,)
        this = method.name == "in_context" and newline and len(prompts.demonstration_rows) == best.k
        gold = np.array(prompts.gold)
        return {one: (gold >= 0 if this and one == "batch" else gold == 0).astype(float) for one in search.calibrations}

    monkeypatch.setattr(prompting_search, "_right", planted)
    found = {"sst2": learning_by_prompting(model, DATA, replace(SEARCH, seeds=tuple(range(12)), held_out=9))}
    assert ranked(found)[0] == best
    assert [way for way in found["sst2"] if learned_tasks(found, way)] == [best]


A, B, C = (Prompting(k, "newline", "none") for k in (2, 5, 8))


def learned(margin, p_value):
    return Learning(0.5 + margin, 0.5, 0.4, p_value)


@pytest.mark.parametrize(
    ("of_a", "of_b", "best"),
    [
        ([(0.9, 0.5), (0.9, 0.5)], [(0.1, 0.01), (0.0, 0.9)], B),
        ([(0.2, 0.01), (0.2, 0.5)], [(0.3, 0.01), (0.2, 0.9)], B),
        ([(0.2, 0.01), (0.2, 0.5)], [(0.2, 0.01), (0.2, 0.5)], A),
    ],
)
def test_most_tasks_then_the_larger_margin_then_the_first_is_best(of_a, of_b, best):
    found = {task: {A: learned(*a), B: learned(*b)} for task, a, b in zip(("sst2", "mr"), of_a, of_b, strict=True)}
    assert ranked(found)[0] == best


def test_a_way_that_not_every_task_was_prompted_in_is_not_ranked():
    found = {"sst2": {A: learned(0.1, 0.5), C: learned(0.4, 0.01)}, "mr": {A: learned(0.1, 0.5)}}
    assert ranked(found) == (A,)


def test_separators_that_cannot_be_written_or_are_the_same_are_left_out(model, word_encoder):
    every = ("end_of_text", "newline", "blank_line")
    line = model.tokens.encode("\n")
    assert separators_of(model, DATA, every) == {"end_of_text": (2,), "newline": line, "blank_line": line * 2}
    model.tokens = word_encoder()
    assert separators_of(model, DATA, every) == {"end_of_text": (2,)}
    with pytest.raises(PromptError, match="cannot write the separator newline"):
        separators_of(model, DATA, every[1:])


def test_a_training_set_without_an_example_to_spare_is_refused(model):
    with pytest.raises(UsageError, match="more than 20 training examples, got 20"):
        replace(SEARCH, ks=(2, 20)).check(model, DATA)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ks": ()},
        {"ks": (0, 2)},
        {"ks": (2, 2)},
        {"seeds": ()},
        {"separators": ()},
        {"calibrations": ()},
        {"held_out": 0},
    ],
)
def test_a_search_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="A search for a way to prompt"):
        replace(SEARCH, **wrong)


def test_an_unknown_reading_is_refused():
    with pytest.raises(UsageError, match="calibration has no such value: expected none or contextual or batch"):
        replace(SEARCH, calibrations=("some",))


def test_progress_grows_to_nearly_all(model):
    told = []
    learning_by_prompting(model, DATA, SEARCH, lambda _what, done: told.append(done))
    assert told == sorted(told)
    assert 0 == told[0] < told[-1] < 1
    assert len(told) == 12
