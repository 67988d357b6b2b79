"""Claims that several workers decide are those that one process decides; a worker that crashes loses no trial."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from icl_claims.storage.store import entries

ROOT = Path(__file__).parents[2]
FEW = ["--claims-profile=tiny", "--claims-tasks=sst2,cb", "--claims-seeds=1,2", "--claims-k=4", "--claims-queries=8"]
FILES = ["claims/rethinking/test_1_introduction.py", "claims/rethinking/test_3_3_prediction_alignment.py"]
CRASHING = """
    import os
    import pathlib
    import pytest
    from icl_claims.claims import at_least, rethinking
    from icl_claims.methods import InContext
    from icl_claims.metrics import accuracy

    @rethinking.claim("some-claim", where="section 1", rule=at_least(1), on="trials")
    def test_first():
        "Something holds."
        return accuracy(InContext()) > 0.5

    @test_first.claim.decided_on("trials")
    def test_crash(evidence, decide, request):
        os._exit(1)

    @test_first.claim.decided_on("trials")
    def test_last(evidence, decide):
        decide(evidence.ask(accuracy(InContext()) > 0.5))
"""


def run(folder, files, *options):
    """The claims that were decided, and the trials that were run: when each was finished."""
    environment = {k: v for k, v in os.environ.items() if k != "ICL_CLAIMS_DATA"}
    environment |= {
        "ICL_CLAIMS_CACHE": str(folder),
        "OMP_NUM_THREADS": "1",
        "ICL_CLAIMS_PRODUCTS": "mkl",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "pytest", "-m", "trials and not gpu", "-p", "no:cacheprovider", *FEW]
    command += ["--claims-studies=main", f"--claims-report={folder}", f"--rootdir={ROOT}", *options, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    trials = {entry.key: entry.facts["provenance"]["finished"] for entry in entries(folder / "trials")}
    return json.loads((folder / "claims.json").read_text(encoding="utf-8"))["claims"], trials


def without_time(claim):
    """A claim but for the time that it took and when its trials were run."""
    provenance = claim["provenance"]
    trials = [{**trial, "finished": "", "seconds": ""} for trial in provenance["trials"]]
    outlook = claim["outlook"] and {**claim["outlook"], "seconds": None}
    return {**claim, "seconds": 0, "outlook": outlook, "provenance": {**provenance, "trials": trials}}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return run(tmp_path_factory.mktemp("alone"), FILES, "-n", "0")


def test_two_workers_decide_the_same_and_run_every_trial_once(alone, tmp_path):
    claims, trials = run(tmp_path, FILES, "-n", "2")
    assert list(map(without_time, claims)) == list(map(without_time, alone[0]))
    assert set(trials) == set(alone[1])
    assert len(trials) == 2 * 4, "of what is compared, and of whether the model learns"
    before = {entry.key: entry.written for entry in entries(tmp_path / "trials")}
    claims, trials = run(tmp_path, FILES, "-n", "2", "--claims-again")
    assert list(map(without_time, claims)) == list(map(without_time, alone[0]))
    assert set(trials) == set(before)
    assert all(entry.written > before[entry.key] for entry in entries(tmp_path / "trials"))


def test_a_crashed_worker_loses_no_finished_trial(tmp_path):
    file = tmp_path / "test_crashing.py"
    file.write_text("\n".join(line[4:] for line in CRASHING.splitlines()), encoding="utf-8")
    (tmp_path / "known_refutations.toml").write_text("")
    claims, trials = run(tmp_path, [file], "-n", "2")
    verdicts = {claim["test"].rpartition("::")[2]: claim for claim in claims}
    assert verdicts["test_crash[trials]"]["verdict"] == "error"
    told = verdicts["test_last[trials]"]["provenance"]["trials"]
    assert len(told) == 4
    assert {trial["finished"] for trial in told} <= set(trials.values())
    _, kept = run(tmp_path, [file], "-n", "0", "--deselect", f"{file}::test_crash")
    assert kept == trials
