"""The example of a study of one's own is short, and a run of it decides its claims."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "examples" / "own_study"
MOST_LINES = 120


def test_the_example_is_short():
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in STUDY.rglob("*.py")) <= MOST_LINES


def test_the_claims_of_the_example_are_decided(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "ICL_CLAIMS_DATA"}
    environment |= {"ICL_CLAIMS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", str(STUDY), "-p", "no:cacheprovider", "-n", "0", "-m", "not gpu"]
    command += ["--claims-profile=tiny", "--claims-seeds=1,2,3,4,5,6,7,8", f"--claims-report={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    claims = {claim["id"]: claim for claim in json.loads((tmp_path / "claims.json").read_text())["claims"]}
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert claims["cka-invariant"]["verdict"] == "supported"
    adam = claims["adam-like-icl"]
    assert adam["verdict"] in ("supported", "refuted"), done.stdout
    assert {trial["task"] for trial in adam["provenance"]["trials"]} == {"topics"}
    assert [finding["queries"] > 0 for finding in adam["tasks"]] == [True]
    assert sum("another query's update" in beside["name"] for beside in adam["beside"]) == 2
