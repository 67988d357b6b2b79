"""The check of a GPU runs from end to end on a CPU, and what is wrong with a device does not get past it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from benchmarks.dense import SMALL, as_model, dense_model, dense_network, save
from benchmarks.gpu_check import agreement, cards, little_memory
from benchmarks.gpu_check.__main__ import CHECKS
from benchmarks.gpu_check.agreement import differences, limits_in, numbers
from benchmarks.gpu_check.finding import Finding, as_markdown, asked_of, found_by
from icl_claims.models.reference import load_model
from icl_claims.tasks.catalogue import PAPERS_TASKS, TASKS
from icl_claims.tasks.sources import MINIATURE

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
PREFIX, ROWS = [0, 9, 12, 15], [[20, 21, 22], [23, 24, 25, 26]]


def gpu_check(*arguments):
    command = [sys.executable, "-m", "benchmarks.gpu_check", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def asked(tmp_path):
    return asked_of(CPU, 1, tmp_path, small=True)


def nothing(_step):
    pass


def test_it_writes_one_file_and_one_table_of_checks_that_passed(tmp_path):
    file = tmp_path / "check.json"
    done = gpu_check("--device", "cpu", "--small", "--write", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text(encoding="utf-8"))
    words = {finding["check"]: finding["word"] for finding in found["findings"]}
    assert words.pop(cards.CHECK) == "not checked"
    assert set(words.values()) == {"passed"}
    assert [sum(check.startswith(kind) for check in words) for kind in ("numbers in", "ICL pass", "memory and")] == [
        3
    ] * 3
    assert {"claims end to end", little_memory.CHECK} <= set(words)
    assert found["machine"]["kernels"]
    table = file.with_suffix(".md").read_text(encoding="utf-8")
    assert all(f"| {check} |" in table for check in (*words, cards.CHECK))


def test_without_cuda_it_says_so():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    done = gpu_check()
    assert done.returncode == 1
    assert "expected one of 0 CUDA devices, got cuda" in done.stderr


def test_an_unknown_check_is_refused_with_those_that_there_are():
    done = gpu_check("--only", "pass,dancing")
    assert done.returncode == 2
    assert all(name in done.stderr for name in ("dancing", *CHECKS))


def test_a_check_that_breaks_off_has_failed_and_the_others_go_on(asked):
    def broken(_asked, _say):
        yield Finding("first part", "passed")
        raise RuntimeError("CUDA error: an illegal memory access\nand more lines")

    def whole(_asked, _say):
        yield Finding("the other", "passed")

    findings = list(found_by({"broken": broken, "whole": whole}, asked, lambda *_step: None))
    assert [(finding.check, finding.word) for finding in findings] == [
        ("first part", "passed"),
        ("broken", "failed"),
        ("the other", "passed"),
    ]
    assert findings[1].why == "RuntimeError: CUDA error: an illegal memory access"
    assert "| broken | failed | RuntimeError" in as_markdown(findings)


@pytest.mark.parametrize("measured", [2.0, float("nan")])
def test_a_number_beyond_its_limit_and_none_at_all_have_failed(measured):
    found = Finding.judged("a check", {"error": measured, "other": 5.0}, {"error": 1.0})
    assert (found.word, found.why) == ("failed", "error beyond the limit")


@pytest.mark.parametrize("what", sorted(agreement.ROUNDINGS))
def test_numbers_that_are_off_by_more_than_rounding_are_caught(asked, what):
    exact = numbers(dense_model(SMALL, 1, CPU), asked)
    for dtype in asked.dtypes:
        off = {**exact, what: exact[what] + 4 * limits_in(dtype)[what] * exact[what].abs().max()}
        assert Finding.judged("numbers", differences(off, exact), limits_in(dtype)).why == f"{what} beyond the limit"


def test_weights_of_fewer_bits_are_caught(asked):
    """As a card sees them whose products of float32 drop thirteen bits (TF32)."""
    exact, network = numbers(dense_model(SMALL, 1, CPU), asked), dense_network(SMALL, 1, CPU, torch.float32)
    for parameter in network.parameters():
        parameter.data = (parameter.data.view(torch.int32) & -(1 << 13)).view(torch.float32)
    found = differences(numbers(as_model(network, SMALL, 1), asked), exact)
    limits = limits_in(torch.float32)
    assert all(found[what] > limits[what] for what in ("logits", "attention outputs", "SimAOU by finetuning"))


def test_batches_that_are_not_halved_have_failed(asked, monkeypatch):
    monkeypatch.setattr(little_memory, "little_memory", lambda *_given: nullcontext())
    (found,) = little_memory.halved_batches(asked, nothing)
    assert found.why == "batches not halved: beyond the limit"


def test_halved_batches_with_other_numbers_have_failed(asked, monkeypatch):
    run = little_memory.run_trial

    def wrong_when_halved(*given, **how):
        result = run(*given, **how)
        if result.provenance["notes"]:
            result.log_probabilities["in_context"] = result.log_probabilities["in_context"] + 1e-3
        return result

    monkeypatch.setattr(little_memory, "run_trial", wrong_when_halved)
    (found,) = little_memory.halved_batches(asked, nothing)
    assert found.why == "log-probabilities apart beyond the limit"


def test_the_seed_decides_the_weights_of_a_dense_model():
    def logits(seed):
        model = dense_model(SMALL, seed, CPU)
        return model.answer(ROWS, model.read_prefix(PREFIX), answer_at=-1, probe_at=-1).logits

    state = torch.random.get_rng_state()
    one, same, other = (logits(seed) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_saved_dense_model_is_loaded_as_it_was(tmp_path):
    save(dense_network(SMALL, 1, CPU, torch.float32), tmp_path)
    made, loaded = dense_model(SMALL, 1, CPU), load_model(f"path:{tmp_path}", device="cpu")
    for model in (made, loaded):
        assert model.tokens.encode("Review: warm and dull") == made.tokens.encode("Review: warm and dull")
    one, other = (m.answer(ROWS, m.read_prefix(PREFIX), answer_at=-1, probe_at=-1).logits for m in (made, loaded))
    assert torch.equal(one, other)


def test_its_tokenizer_knows_every_word_of_the_miniature_tasks():
    tokens = dense_model(SMALL, 1, CPU).tokens
    for name in PAPERS_TASKS:
        task = TASKS[name]
        assert all(len(tokens.encode(word)) == 1 for word in task.verbalizers)
        for example in MINIATURE.read(task).validation:
            for prompt in (task.prompt(example.fields), task.paraphrased(example.fields)):
                assert tokens.unknown.isdisjoint(tokens.encode(prompt))


def test_the_large_model_is_of_the_papers_size(asked):
    large = asked_of(CPU, 1, asked.folder, small=False).large
    blocks = large.layers * (4 * large.hidden**2 + 2 * large.hidden * large.inner)
    assert (large.layers, large.hidden, large.words) == (24, 2048, 51200)
    assert 1.2e9 < blocks + large.words * large.hidden < 1.4e9
