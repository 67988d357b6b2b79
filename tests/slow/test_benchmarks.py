"""The benchmarks run, write down what they measured, and refuse to time two things that are not the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert {outcome["fraction_of_peak"] is None for outcome in outcomes} == {True, False}


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
