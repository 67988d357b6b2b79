"""The claims themselves, run as a user runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from icl_claims.experiments.profiles import PROFILES
from icl_claims.experiments.studies import study_of
from icl_claims.pytest_plugin.fixtures import REFUTATIONS, known_refutations
from icl_claims.storage.store import GROUP
from icl_claims.tasks.catalogue import TASKS
from tests.quality.controls import exact_tests
from tests.quality.data_claims import data_claims

ROOT = Path(__file__).parents[2]
BY_DEFAULT = {"main", *PROFILES["embedded"].studies}
TRIAL_CLAIMS = {claim.claim.id: claim.claim for claim in data_claims("trials")}
EXACT = {
    (test.claim.paper.id, claim)
    for claim, test in exact_tests().items()
    if all(mark.name != "trained" for mark in test.pytestmark)
}
REFUTED_EXACTLY = {claim for claim, source, _ in known_refutations(ROOT / "claims" / REFUTATIONS) if source == "exact"}
OF_OTHER_STUDIES = {"clip-task-dependent"} | {
    claim.id
    for claim in TRIAL_CLAIMS.values()
    if any(study_of(quantity).name not in BY_DEFAULT for asked in claim.questions[:1] for quantity in asked.quantities)
}
OF_THE_PAPERS_MODEL = {"lin-memory"}


@pytest.fixture(scope="module")
def random_model(tmp_path_factory) -> Path:
    """A folder with a Llama of random weights and a tokenizer of whole words."""
    folder = tmp_path_factory.mktemp("random-llama")
    prompts = " ".join(task.template + " " + " ".join(task.verbalizers) for task in TASKS.values())
    splitter = pre_tokenizers.Whitespace()
    words = dict.fromkeys(["<unk>", "<s>", "</s>"] + [word for word, _ in splitter.pre_tokenize_str(prompts)])
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = splitter
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def run_claims(folder: Path, *options: str) -> tuple[int, list[dict], str]:
    """Exit code, the claims of claims.json, and what was printed."""
    environment = {k: v for k, v in os.environ.items() if k != "ICL_CLAIMS_DATA"}
    environment |= {"ICL_CLAIMS_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", str(ROOT / "claims"), "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        [*command, f"--claims-report={folder}"], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )
    return done.returncode, json.loads((folder / "claims.json").read_text())["claims"], done.stdout


def test_every_exact_claim_that_trains_nothing_is_decided_and_counts_its_cases(tmp_path):
    code, claims, printed = run_claims(tmp_path, "-m", "exact and not trained")
    assert code == 0, printed
    deciding = [claim for claim in claims if not claim["condition"]]
    assert {(claim["paper"], claim["id"]) for claim in deciding} == EXACT
    assert {claim["id"] for claim in claims if claim["verdict"] == "refuted"} == REFUTED_EXACTLY
    assert all(claim["verdict"] in ("supported", "refuted") and claim["cases"] > 0 for claim in claims), printed


def test_a_trained_claim_is_decided_on_its_seeds(tmp_path):
    code, [claim], printed = run_claims(tmp_path, "-m", "trained", "--claims-only=trained-layer-is-gd")
    assert (code, claim["verdict"], claim["cases"] > 0) == (0, "supported", True), printed


def test_one_process_and_two_decide_printed_claims_alike(tmp_path):
    def verdicts(*options: str) -> dict[str, tuple[str, str]]:
        code, claims, printed = run_claims(tmp_path, "-m", "printed", *options)
        assert code == 0, printed
        return {claim["id"]: (claim["verdict"], claim["why"]) for claim in claims}

    alone = verdicts("-n", "0")
    assert alone
    assert verdicts("-n", "2", "--claims-again") == alone


@pytest.mark.parametrize("real", [False, True], ids=["miniature", "real"])
def test_trials_of_a_readers_own_model_reach_the_report(tmp_path, random_model, real):
    options = ["-m", "trials and not gpu", f"--claims-model=path:{random_model}", "--claims-tasks=sst2,cb"]
    options += ["--claims-k=4", "--claims-seeds=2,3", "--claims-queries=12"]
    if real:
        if "ICL_CLAIMS_TEST_DATA" not in os.environ:
            pytest.skip("ICL_CLAIMS_TEST_DATA names no folder of the real tasks")
        options.append(f"--claims-data={os.environ['ICL_CLAIMS_TEST_DATA']}")
    code, claims, printed = run_claims(tmp_path, *options)
    assert code in (0, 1), printed
    assert {claim["id"] for claim in claims} == set(TRIAL_CLAIMS)
    assert {claim["id"] for claim in claims if claim["verdict"] == "not run"} == OF_OTHER_STUDIES | OF_THE_PAPERS_MODEL
    for claim in claims:
        assert claim["verdict"] != "error", printed
        assert {trial["task"] for trial in claim["provenance"]["trials"]} == {"sst2", "cb"}
        outcomes = {finding["task"]: finding["outcome"] for finding in claim["tasks"]}
        assert {outcomes.get(task, "absent") for task in ("mr", "subj", "agnews")} == {"absent"}
        assert claim["id"] in OF_OTHER_STUDIES | OF_THE_PAPERS_MODEL or {outcomes.get("sst2"), outcomes.get("cb")} != {
            "absent"
        }
    page = (tmp_path / "claims.html").read_text(encoding="utf-8")
    assert "SST2 (12 queries, 4 of 4 demonstrations, seeds 2, 3)" in page
    assert ("the real tasks in" if real else "miniature tasks") in page
    assert re.search(r"embedded, 2 draws for \d+ claims: all \d+ trials in ", printed)


def test_a_second_run_reads_its_trials_from_the_store(tmp_path, random_model):
    options = ["-m", "trials and not gpu", f"--claims-model=path:{random_model}", "--claims-tasks=sst2"]
    options += ["--claims-k=4", "--claims-seeds=2,3", "--claims-queries=12"]
    _, first, _ = run_claims(tmp_path, *options)
    shutil.rmtree(tmp_path / "cache" / "verdicts")
    _, second, _ = run_claims(tmp_path, *options)
    _, again, _ = run_claims(tmp_path, *options, "--claims-again")
    trials = [[claim["provenance"]["trials"] for claim in claims] for claims in (first, second, again)]
    assert any(trials[0])
    assert trials[0] == trials[1]
    stored = [folder.name for folder in (tmp_path / "cache" / "trials").iterdir() if not folder.suffix]
    assert len({name[:GROUP] for name in stored}) == len(stored), "all studies of a setting are run as one trial"
    assert not any(before == after for before, after in zip(trials[1], trials[2], strict=True) if before)


def test_a_second_run_tells_what_the_first_decided_on_its_trials(tmp_path, random_model):
    def document() -> dict:
        found = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
        return {**found, "run": None, "claims": [{**claim, "seconds": 0} for claim in found["claims"]]}

    options = ["-m", "trials and not gpu", f"--claims-model=path:{random_model}", "--claims-tasks=sst2"]
    options += ["--claims-k=4", "--claims-seeds=2,3", "--claims-queries=6"]
    code, decided, printed = run_claims(tmp_path, *options)
    before = document()
    assert "as an earlier run" not in printed
    code_again, told, printed = run_claims(tmp_path, *options)
    assert code_again == code
    assert f"{len(told)} as an earlier run of the same code decided" in printed
    assert document() == before
    assert before["pictures"]
    _, others, printed = run_claims(tmp_path, *options[:-1], "--claims-queries=7")
    assert "as an earlier run" not in printed
    assert others != decided


def test_the_papers_profile_runs_on_a_fairseq_checkpoint(tmp_path):
    wanted = ("ICL_CLAIMS_PARITY", "ICL_CLAIMS_BPE", "ICL_CLAIMS_TEST_DATA")
    if missing := [name for name in wanted if name not in os.environ]:
        pytest.skip(f"{', '.join(missing)} not set: a fairseq model, GPT-2's BPE files, the real tasks")
    model, bpe, data = (Path(os.environ[name]) for name in wanted)
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (model / "model.pt", model / "dict.txt", bpe / "encoder.json", bpe / "vocab.bpe"):
        shutil.copy(file, folder)
    options = ["-m", "gpu", "--claims-device=cpu", f"--claims-model=fairseq:{folder}", f"--claims-data={data}"]
    options += ["--claims-queries=8", "--claims-studies=main", "--claims-seeds=2,3"]
    code, claims, printed = run_claims(tmp_path, *options)
    assert code in (0, 1), printed
    assert {claim["id"] for claim in claims} == set(TRIAL_CLAIMS)
    for claim in claims:
        assert (claim["profile"], claim["verdict"]) != ("paper", "error"), printed
        draws = [(trial["task"], trial["seed"], trial["permutation"]) for trial in claim["provenance"]["trials"]]
        assert draws == [(task.name, seed, 0) for task in TASKS.values() for seed in (2, 3)]
        assert all(trial["k"] == 32 and trial["calibration"] == "none" for trial in claim["provenance"]["trials"])
