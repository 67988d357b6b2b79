"""The benchmarks run, write down what they measured, and refuse to time two things that are not the same."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from icl_claims.errors import ModelError

ROOT = Path(__file__).parents[2]


def benchmarks(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_quick_run_writes_ratios_of_sides_that_agree(tmp_path):
    file = tmp_path / "results.json"
    done = benchmarks("--quick", "--model", "tiny", "--threads", "1", "--write", str(file))
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(file.read_text())
    for outcome in outcomes:
        assert 0 < outcome["ratio"]["min"] <= outcome["ratio"]["median"] <= outcome["ratio"]["max"]
        assert outcome["max_difference"] is None or outcome["max_difference"] <= 1e-4
    table = file.with_suffix(".md").read_text().splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in table[2:]] == [o["case"] for o in outcomes]
    assert all(outcome["kernels"] for outcome in outcomes)
    compared = [outcome for outcome in outcomes if outcome["fraction_of_peak"] is not None]
    assert 0 < len(compared) < len(outcomes)
    for outcome in compared:
        assert outcome["best_product"] == max(outcome["rates"], key=outcome["rates"].get)
        assert outcome["rate"] / outcome["rates"][outcome["best_product"]] == pytest.approx(outcome["fraction_of_peak"])
    words = [outcome["case"].removeprefix("learning by ").split(",")[0] for outcome in compared]
    assert {"finetuning", "layer_causal", "linearized"} <= set(words)
    against_peer = [outcome["case"].split(", ")[1] for outcome in outcomes if "cache and hooks" in outcome["case"]]
    assert len(against_peer) == 3  # batches of 1, 2 and 4 for four queries, the best last
    assert against_peer[-1].startswith("best batch ")


@pytest.mark.parametrize("case", ["pass", "peer", "depths", "trials", "learning"])
def test_a_dense_model_is_measured_without_a_checkpoint(case):
    from benchmarks.__main__ import CASES
    from benchmarks.dense import SMALL, dense_model
    from benchmarks.setting import QUICK, Setting

    setting = Setting(dense_model(SMALL, 1, torch.device("cpu")), QUICK)
    outcomes = list(CASES[case](setting, lambda _step: None))
    assert outcomes
    assert all(outcome.max_difference <= 1e-4 for outcome in outcomes)


@pytest.mark.parametrize("what", ["log_probabilities", "attention_outputs"])
def test_a_peer_with_other_numbers_is_an_error(monkeypatch, what):
    from benchmarks import peer
    from benchmarks.setting import QUICK, Setting
    from icl_claims.models.reference import load_model

    def wrong(learned, queries):
        answers = right(learned, queries)
        return replace(answers, **{what: getattr(answers, what) * 1.01})

    right = peer.ours
    monkeypatch.setattr(peer, "ours", wrong)
    with pytest.raises(ModelError, match="do not agree"):
        list(peer.cache_and_hooks(Setting(load_model("tiny", device="cpu"), QUICK), lambda _step: None))


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_the_peer_gives_the_same_numbers_in_batches_of_any_size(batch):
    from benchmarks.peer import CacheAndHooks, ours
    from benchmarks.setting import QUICK, Setting
    from icl_claims.methods import InContext
    from icl_claims.models.reference import load_model

    setting = Setting(load_model("tiny", device="cpu"), QUICK)
    shown, queries = setting.demonstrations(80), setting.queries(5)
    assert len({len(row) for row in queries.rows}) > 1
    peer, learned = CacheAndHooks(setting.model, shown.context), InContext().learn(setting.model, shown)
    for _again in range(2):
        assert peer.answer(queries, batch).difference(ours(learned, queries)) < 1e-5


def test_an_unknown_case_is_refused_with_those_that_there_are():
    done = benchmarks("--only", "pass,dancing")
    assert done.returncode == 2
    assert "dancing" in done.stderr
    assert "learning" in done.stderr


@pytest.mark.parametrize("difference", [2e-4, float("nan")])
def test_sides_that_do_not_agree_are_an_error(monkeypatch, difference):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.outcome import Rounds

    with pytest.raises(ModelError, match="do not agree"):
        Rounds([2.0], [1.0]).outcome("a case", "a query", difference)


def test_tuned_weights_of_another_method_are_caught(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.reference import FullPrompts, trial
    from benchmarks.setting import QUICK, Setting
    from benchmarks.trials import largest_difference, one_method, spec_of
    from icl_claims.experiments.trial import prompts_of, run_trial
    from icl_claims.methods import LayerCausal
    from icl_claims.models.reference import load_model

    setting = Setting(load_model("tiny", device="cpu"), QUICK)
    spec = spec_of(setting, one_method(setting), QUICK.trial)
    prompts = prompts_of(spec, setting.model, setting.data)
    result = run_trial(spec, setting.model, setting.data)
    demonstrations, differences = prompts.demonstrations, []
    for method in (*one_method(setting), LayerCausal(setting.learning_rate)):
        tuned = {"finetuning": method.learn(setting.model, demonstrations).weights}
        seen = trial(FullPrompts(setting.model), demonstrations.context, prompts.queries, tuned, tmp_path)
        differences.append(largest_difference(seen, result, list(range(len(prompts.queries)))))
    assert differences[0] < 1e-4 < differences[1]
