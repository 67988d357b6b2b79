"""A learning rate is chosen on training examples only, written down by the model's digest, and found again."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from icl_claims.errors import DivergenceError, StoreError, UsageError
from icl_claims.experiments import tuning
from icl_claims.experiments.plan import plan_trials, resolve
from icl_claims.experiments.profiles import PROFILES, Choices
from icl_claims.experiments.tuning import (
    GRID,
    Search,
    Tuned,
    held_out_prompts,
    learning_rates,
    most_accurate,
    rates_file,
    read_rates,
    tune,
    write_rates,
)
from icl_claims.methods import Finetuning
from icl_claims.models.random_models import random_model
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.examples import Example, TaskData, shuffle

WORDS = ("warm", "dull", "slow", "kind", "loud", "rare")


class NeverRead(tuple):
    """An evaluation set that breaks when it is looked at."""

    def __iter__(self):
        raise AssertionError("the queries were read")

    __len__ = __getitem__ = __iter__


def example(row):
    return Example({"sentence": " ".join(WORDS[(row + i) % 6] for i in range(1 + row % 3))}, row % 2, row)


DATA = TaskData(TASKS["sst2"], tuple(map(example, range(20))), NeverRead(), "directory", "digest of the data")
SEARCH = Search(k=3, calibration="contextual", seeds=(1, 2), held_out=6, grid=(0.01, 0.1, 1.0))


@pytest.fixture
def model(word_encoder):
    made = random_model("llama", 2, 0)
    made.tokens = word_encoder()
    return made


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path))
    return tmp_path


# The search


def test_of_equals_the_larger_rate_is_taken():
    assert most_accurate({0.001: 0.5, 0.01: 0.8, 0.1: 0.8, 0.3: 0.7}) == 0.1
    assert most_accurate({0.001: 0.5, 0.01: 0.5}) == 0.01


def test_what_is_asked_is_training_data_and_no_demonstration(model):
    for seed in SEARCH.seeds:
        prompts = held_out_prompts(model, DATA, SEARCH, seed)
        asked, shown = set(prompts.query_rows), set(prompts.demonstration_rows)
        drawn = [e.row for e in shuffle(DATA.train, seed)]
        assert shown == set(drawn[:3])
        assert asked == set(drawn[3:9])
        assert [DATA.train[row].label for row in prompts.query_rows] == list(prompts.gold)


def test_the_queries_of_the_task_are_never_read(model):
    assert tune(model, DATA, SEARCH).learning_rate in SEARCH.grid


def test_accuracies_are_of_finetuned_models_on_held_out_data(model):
    got = tune(model, DATA, replace(SEARCH, calibration="none")).accuracies
    for rate, accuracy in got.items():
        right = []
        for seed in SEARCH.seeds:
            prompts = held_out_prompts(model, DATA, SEARCH, seed)
            learned = Finetuning(rate).learn(model, prompts.demonstrations)
            answers = [learned.answer(prompts.queries.some([i])).log_probabilities.argmax().item() for i in range(6)]
            right.append(np.mean(np.array(answers) == prompts.gold))
        assert accuracy == pytest.approx(np.mean(right))


def test_a_rate_that_diverges_has_no_right_answer(model, monkeypatch):
    def learn(self, *given):
        if self.learning_rate == 1.0:
            raise DivergenceError("it ran off")
        return original(self, *given)

    original = Finetuning.learn
    monkeypatch.setattr(Finetuning, "learn", learn)
    found = tune(model, DATA, SEARCH)
    assert found.accuracies[1.0] == 0
    assert found.learning_rate < 1


def test_the_only_rate_that_solves_a_task_is_found(model, monkeypatch):
    monkeypatch.setattr(tuning, "_accuracy", lambda _m, _p, rate, _c: 0.9 if rate == 0.1 else 0.5)
    assert tune(model, DATA, SEARCH).learning_rate == 0.1


@pytest.mark.parametrize(
    ("accuracies", "doubts"),
    [
        ({0.01: 0.5, 0.1: 0.9, 1.0: 0.6}, []),
        ({0.01: 0.9, 0.1: 0.6, 1.0: 0.5}, ["0.01 is the smallest rate"]),
        ({0.01: 0.5, 0.1: 0.5, 1.0: 0.5}, ["1 is the largest rate", "no better than the most frequent label's, 0.50"]),
        ({0.01: 0.4, 0.1: 0.58, 1.0: 0.5}, ["an accuracy of 0.58 is no better"]),
    ],
)
def test_a_rate_at_the_edge_or_at_chance_is_doubted(accuracies, doubts):
    found = Tuned(most_accurate(accuracies), accuracies, chance=0.5, asked=40).doubts
    assert len(found) == len(doubts)
    assert all(part in words for part, words in zip(doubts, found, strict=True))


def test_chance_is_that_of_the_held_out_examples(model):
    found = tune(model, DATA, SEARCH)
    gold = [label for seed in SEARCH.seeds for label in held_out_prompts(model, DATA, SEARCH, seed).gold]
    assert (found.asked, found.chance) == (12, max(gold.count(0), gold.count(1)) / 12)


def test_accuracies_follow_from_the_seeds(model):
    one, same = (tune(model, DATA, SEARCH) for _ in range(2))
    assert one == same
    prompts, others = (held_out_prompts(model, DATA, SEARCH, seed).query_rows for seed in (1, 3))
    assert prompts != others


def test_memory_that_runs_out_halves_the_batch_here_too(model, monkeypatch):
    wanted, answer = tune(model, DATA, SEARCH), model.activations

    def in_little_room(rows, *given, **how):
        if len(rows) > 3:
            raise torch.OutOfMemoryError("full")
        return answer(rows, *given, **how)

    monkeypatch.setattr(model, "activations", in_little_room)
    assert tune(model, DATA, SEARCH) == wanted


def test_a_training_set_without_an_example_to_spare_is_refused(model):
    with pytest.raises(UsageError, match="more than 20 training examples, got 20"):
        tune(model, DATA, replace(SEARCH, k=20))


@pytest.mark.parametrize(
    "wrong", [{"seeds": ()}, {"seeds": (1, 1)}, {"grid": ()}, {"grid": (0.0, 0.1)}, {"held_out": 0}]
)
def test_a_search_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="A search for learning rates"):
        replace(SEARCH, **wrong)


def test_the_grid_goes_by_half_decades():
    assert GRID == (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


def test_progress_grows_to_nearly_all(model):
    told = []
    tune(model, DATA, SEARCH, lambda _what, done: told.append(done))
    assert told == sorted(told)
    assert 0 <= told[0] < told[-1] < 1
    assert len(told) == 6


# What is written


def entry(rate):
    return {"learning_rate": rate, "accuracies": {"0.1": 0.5}, "k": 3}


def test_written_rates_are_found_by_the_digest_of_the_model(cache):
    profile = PROFILES["embedded"]
    write_rates(rates_file("abc"), "abc", "path:x", {"sst2": entry(0.3)})
    found = learning_rates(profile, "abc", own_model=False)
    assert found.by_task == {**profile.learning_rates, "sst2": 0.3}
    assert "found for this model" in found.origin
    assert "of the profile embedded for agnews, cb, mr, sst5, subj" in found.origin
    assert rates_file("abc").is_relative_to(cache)


def test_doubts_about_written_rates_are_told_with_them(cache):
    doubted = {"sst2": entry(0.3) | {"doubts": ["0.3 is the largest rate that was tried"]}}
    write_rates(rates_file("abc"), "abc", "path:x", doubted)
    assert "; sst2: 0.3 is the largest rate" in learning_rates(PROFILES["embedded"], "abc", own_model=False).origin


def test_rates_that_two_processes_write_at_once_are_all_kept(tmp_path):
    file, tasks = tmp_path / "rates.json", [f"task{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda task: write_rates(file, "abc", "path:x", {task: entry(0.3)}), tasks))
    assert set(read_rates(file)["tasks"]) == set(tasks)


def test_another_model_gets_the_profiles_rates_with_a_note(cache):
    found = learning_rates(PROFILES["embedded"], "abc", own_model=False)
    assert found.by_task == PROFILES["embedded"].learning_rates
    assert "found for another model" in found.origin
    assert "icl-claims tune" in found.origin


def test_the_profiles_own_model_keeps_the_profiles_rates(cache):
    write_rates(rates_file("abc"), "abc", "embedded", {"sst2": entry(0.3)})
    found = learning_rates(PROFILES["embedded"], "abc", own_model=True)
    assert (found.by_task, found.origin) == (PROFILES["embedded"].learning_rates, "of the profile embedded")


def test_a_named_file_is_taken_unless_it_is_of_another_model(tmp_path):
    file = tmp_path / "rates.json"
    write_rates(file, "abc", "path:x", {"cb": entry(0.3)})
    assert learning_rates(PROFILES["embedded"], "abc", own_model=True, file=file).by_task["cb"] == 0.3
    with pytest.raises(UsageError, match="not of this model: expected a file about the model xyz, got one about abc"):
        learning_rates(PROFILES["embedded"], "xyz", own_model=False, file=file)
    with pytest.raises(UsageError, match="no such file"):
        learning_rates(PROFILES["embedded"], "xyz", own_model=False, file=tmp_path / "nothing.json")


def test_rates_are_added_and_those_of_another_model_replaced(tmp_path):
    file = tmp_path / "a" / "rates.json"
    write_rates(file, "abc", "path:x", {"cb": entry(0.3)})
    write_rates(file, "abc", "path:x", {"mr": entry(0.1)})
    assert set(read_rates(file)["tasks"]) == {"cb", "mr"}
    write_rates(file, "xyz", "path:y", {"mr": entry(0.1)})
    assert set(read_rates(file)["tasks"]) == {"mr"}


@pytest.mark.parametrize(
    "damage",
    [
        *("", "null", "[]", '{"model": "abc"}', '{"model": 1, "tasks": {}}', '{"model": "a", "tasks": {"cb": {}}}'),
        '{"model": "a", "tasks": {"cb": {"learning_rate": "x"}}}',
        '{"model": "a", "tasks": {"cb": {"learning_rate": 0}}}',
    ],
)
def test_a_damaged_file_is_a_named_error(tmp_path, damage):
    file = tmp_path / "rates.json"
    file.write_text(damage, encoding="utf-8")
    with pytest.raises(StoreError, match=r"cannot be read.*run `icl-claims tune` again"):
        read_rates(file)


def test_a_place_that_cannot_be_written_is_a_named_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Name another file"):
        write_rates(tmp_path / "file" / "rates.json", "abc", "path:x", {})


def test_trials_of_another_model_are_planned_with_its_own_rates(cache, model):
    choices = Choices(PROFILES["embedded"], model="path:x", tasks=("sst2", "cb"))

    def planned():
        return {spec.task: spec.methods[0].learning_rate for spec in plan_trials(resolve(choices, model))}

    profile = PROFILES["embedded"].learning_rates
    assert planned() == {"sst2": profile["sst2"], "cb": profile["cb"]}
    write_rates(rates_file(model.digest), model.digest, "path:x", {"sst2": entry(0.007)})
    assert planned() == {"sst2": 0.007, "cb": profile["cb"]}
    assert json.loads(rates_file(model.digest).read_text(encoding="utf-8"))["name"] == "path:x"


def test_a_model_named_under_the_paper_profile_is_not_its_own(cache, model):
    write_rates(rates_file(model.digest), model.digest, "path:x", {"sst2": entry(0.007)})
    assert resolve(Choices(PROFILES["paper"], model="path:x"), model).rates.by_task["sst2"] == 0.007
    assert resolve(Choices(PROFILES["embedded"]), model).rates.origin == "of the profile embedded"
    assert resolve(Choices(PROFILES["embedded"], model="embedded"), model).rates.origin == "of the profile embedded"
