"""The small model of the profile `tiny` learns in context beyond doubt, and knows nothing without demonstrations."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from icl_claims.experiments.plan import Choices, plan_trials
from icl_claims.experiments.profiles import find_profile
from icl_claims.experiments.trial import run_trial
from icl_claims.models.reference import load_model
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.prompts import label_tokens

LEAST = {"sst2": 0.9, "sst5": 0.75, "mr": 0.9, "subj": 0.9, "agnews": 0.8, "cb": 0.85}
CHOICES = Choices(find_profile("tiny"), device="cpu")


@pytest.fixture(scope="module")
def model():
    return load_model(CHOICES.model_reference, device="cpu")


@pytest.fixture(scope="module")
def trials(model):
    """The trials of a task as the profile plans them, without finetuning; each run once."""
    data = CHOICES.read_data()
    specs = plan_trials(CHOICES, model, data)

    @cache
    def run(task):
        return [run_trial(replace(spec, methods=()), model, data[task]) for spec in specs if spec.task == task]

    return run


def accuracies(results, method):
    return [float(result.per_query("accuracy", method).mean()) for result in results]


def test_the_model_has_less_than_two_million_parameters(model):
    assert sum(parameter.numel() for parameter in model.network.parameters()) < 2e6


def test_the_profile_asks_128_queries_with_16_demonstrations_in_three_draws(model):
    specs = plan_trials(CHOICES, model, CHOICES.read_data())
    assert [spec.task for spec in specs] == [task for task in TASKS for _ in range(3)]
    assert {(spec.k, spec.queries, spec.calibration) for spec in specs} == {(16, 128, "none")}


@pytest.mark.parametrize("task", TASKS)
def test_sixteen_demonstrations_give_the_answers(trials, task):
    results = trials(task)
    assert {len(result.gold) for result in results} == {128}
    assert {result.provenance["demonstrations_in_context"] for result in results} == {16}
    assert np.mean(accuracies(results, "in_context")) >= LEAST[task]


@pytest.mark.parametrize("task", TASKS)
def test_without_demonstrations_the_answers_are_at_chance(model, task):
    """The labels of classes are redrawn by seed, so over many seeds the same answers are right as often as by chance."""
    data, labels = CHOICES.read_data()[task], TASKS[task].labels
    spec = replace(plan_trials(CHOICES, model, CHOICES.read_data())[0], task=task, data=data.digest, methods=())
    result = run_trial(spec, model, data)
    answered = result.predicted("zero_shot")
    right = [
        np.mean(answered == [data.for_trial(seed).validation[row].label for row in result.query_rows])
        for seed in range(300)
    ]
    assert np.mean(right) == pytest.approx(1 / labels, abs=0.05)


@pytest.mark.parametrize("task", TASKS)
def test_every_word_of_a_prompt_is_one_known_token(model, task):
    data = CHOICES.read_data()[task]
    unknown = model.tokens.tokenizer.unk_token_id
    for example in data.train:
        text = data.task.prompt(example.fields)
        ids = model.tokens.encode(text)
        assert unknown not in ids
        assert model.tokens.decode(ids).replace(" ", "") == text.replace(" ", "")
    assert len(label_tokens(data.task, model.tokens)) == data.task.labels
