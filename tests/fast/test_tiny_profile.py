"""The small model of the profile `tiny` learns in context beyond doubt, and knows nothing without demonstrations."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from typer.testing import CliRunner

from icl_claims.cli import app
from icl_claims.experiments.plan import plan_trials, resolve
from icl_claims.experiments.profiles import Choices, find_profile
from icl_claims.experiments.studies import IN_CONTEXT, LEARNING, ZERO_SHOT
from icl_claims.experiments.trial import run_trial
from icl_claims.metrics import accuracy
from icl_claims.models.reference import load_model
from icl_claims.questions import Quantity
from icl_claims.tasks.catalogue import TASKS
from icl_claims.tasks.encoding import label_tokens

LEAST = {"sst2": 0.9, "sst5": 0.75, "mr": 0.9, "subj": 0.9, "agnews": 0.8, "cb": 0.85}
CHOICES = Choices(find_profile("tiny"), device="cpu")
FEW = replace(CHOICES, seeds=(0, 1, 2), queries=128)


@pytest.fixture(scope="module")
def model():
    return load_model(CHOICES.model_reference, device="cpu")


@pytest.fixture(scope="module")
def trials(model):
    """Three trials of a task as the profile plans them, with more queries and no finetuning; each run once."""
    run = resolve(FEW, model)
    data, specs = run.data, plan_trials(run)

    @cache
    def run_task(task):
        return [run_trial(replace(spec, methods=()), model, data[task]) for spec in specs if spec.task == task]

    return run_task


def accuracies(results, method):
    return [float(result.column(Quantity(accuracy, method)).mean()) for result in results]


def test_the_model_has_less_than_two_million_parameters(model):
    assert sum(parameter.numel() for parameter in model.network.parameters()) < 2e6


def test_the_profile_asks_32_queries_of_their_own_in_24_draws(model):
    specs = plan_trials(resolve(CHOICES, model))
    assert [spec.task for spec in specs] == [task for task in TASKS for _ in range(24)]
    assert {(spec.k, spec.queries, spec.protocol.calibration) for spec in specs} == {(16, 32, "none")}
    assert {spec.protocol.query_draw for spec in specs} == {"own"}


def test_draws_of_whether_it_learns_are_others(model):
    run = resolve(CHOICES, model)
    drawn, apart = ({spec.seed for spec in plan_trials(run, study)} for study in ("main", LEARNING))
    assert len(drawn) == len(apart) == 24
    assert not drawn & apart


@pytest.mark.parametrize("task", TASKS)
def test_sixteen_demonstrations_give_the_answers(trials, task):
    results = trials(task)
    assert {len(result.gold) for result in results} == {128}
    assert {result.provenance["demonstrations_in_context"] for result in results} == {16}
    assert np.mean(accuracies(results, IN_CONTEXT)) >= LEAST[task]


@pytest.mark.parametrize("task", TASKS)
def test_without_demonstrations_the_answers_are_at_chance(trials, task):
    assert accuracies(trials(task), ZERO_SHOT) == pytest.approx([1 / TASKS[task].labels] * 3, abs=0.1)


def test_labels_of_the_demonstrations_are_what_is_learned(model):
    """With labels exchanged in the demonstrations alone, the answers are exchanged."""
    data = resolve(CHOICES, model).data["sst2"]
    exchanged = replace(data, train=tuple(replace(row, label=1 - row.label) for row in data.train))
    spec = replace(plan_trials(resolve(FEW, model))[0], methods=())
    right, wrong = (run_trial(spec, model, rows).column(Quantity(accuracy, IN_CONTEXT)) for rows in (data, exchanged))
    assert right.mean() > 0.9
    assert wrong.mean() < 0.1


@pytest.mark.parametrize("task", TASKS)
def test_every_word_of_a_prompt_is_one_known_token(model, task):
    data = resolve(CHOICES, model).data[task]
    unknown = model.tokens.tokenizer.unk_token_id
    for example in data.train:
        text = data.task.prompt(example.fields)
        ids = model.tokens.encode(text)
        assert unknown not in ids
        assert model.tokens.tokenizer.decode(ids).replace(" ", "") == text.replace(" ", "")
    assert len(label_tokens(data.task, model.tokens)) == data.task.labels


def test_the_command_line_runs_a_trial_of_the_profile(monkeypatch, tmp_path):
    monkeypatch.setenv("ICL_CLAIMS_DATA", str(tmp_path))
    ran = CliRunner().invoke(app, ["trial", "--task", "subj", "--profile", "tiny", "--device", "cpu", "--json"])
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert found["provenance"]["data"] == "synthetic"
    assert found["metrics"]["in_context"]["accuracy"] > 0.9
    assert found["metrics"]["finetuning"]["sim_aou"] != 0
    assert found["failures"] == {}
