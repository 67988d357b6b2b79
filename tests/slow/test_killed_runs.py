"""A run of claims that is killed or interrupted at any moment goes on to the same words, and loses no stored trial."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from icl_claims.storage.checksummed import MANIFEST
from icl_claims.storage.store import damage, entries
from tests.slow.test_claims_on_workers import ROOT, without_time

FILE = "claims/rethinking/test_3_3_prediction_alignment.py"
CLAIMS = "icl-beats-ft-acc or rec-insufficient or icl-more-changes"  # which are looked at after 8 and up to 24 draws
FEW = ["--claims-profile=tiny", "--claims-tasks=sst2", "--claims-k=4", "--claims-queries=8", "--claims-studies=main"]


class Run:
    """A run of a few claims in rounds, with all its workers a group of processes."""

    def __init__(self, folder, workers="0"):
        self.folder, self.trials = folder, folder / "trials"
        environment = {name: value for name, value in os.environ.items() if name != "ICL_CLAIMS_DATA"}
        environment |= {"ICL_CLAIMS_CACHE": str(folder), "PYTHONPATH": str(ROOT)}
        environment |= {"OMP_NUM_THREADS": "1", "ICL_CLAIMS_PRODUCTS": "mkl"}
        command = [sys.executable, "-m", "pytest", FILE, "-m", "trials and not gpu", "-k", CLAIMS, *FEW, "-n", workers]
        command += ["-p", "no:cacheprovider", f"--claims-report={folder}", f"--rootdir={ROOT}"]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell in the background ignores it
        )

    def stored(self):
        """The manifests of all stored trials, byte by byte: they say when each was written."""
        whole = [path for path in self.trials.glob("*") if not path.suffix]
        return {path.name: (path / MANIFEST).read_bytes() for path in whole}

    def wait_for(self, trials):
        while len(self.stored()) < trials:
            assert self.process.poll() is None, "it ended before"
            time.sleep(0.01)

    def kill(self, draw, *, between):
        """Kill all its processes at a moment after so many trials; gives what was stored by then."""
        self.wait_for(draw.randint(*between))
        time.sleep(draw.uniform(0, 0.3))
        os.killpg(self.process.pid, signal.SIGKILL)
        assert self.process.wait() == -signal.SIGKILL
        while self.is_there():
            time.sleep(0.01)
        return self.stored()

    def is_there(self):
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def finish(self, but=frozenset()):
        """What it says of each claim, but for times; nothing is left but whole trials, and what is excepted."""
        assert self.process.wait() in (0, 1)
        claims = json.loads((self.folder / "claims.json").read_text(encoding="utf-8"))["claims"]
        assert {entry.state for entry in entries(self.trials)} <= {"whole", "left over"} | but
        return {claim["id"]: without_time(claim) for claim in claims}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupts, beside the others."""
    run = Run(tmp_path_factory.mktemp("whole"))
    yield run
    run.process.kill()
    run.process.wait()


@pytest.mark.parametrize(("workers", "moments"), [("0", [(2, 36)]), ("2", [(4, 36)])])
def test_killed_at_any_moment_a_run_goes_on_to_the_same_words(whole, tmp_path, workers, moments):
    draw, before = random.Random(25), {}
    for between in moments:
        stored = Run(tmp_path, workers).kill(draw, between=between)
        assert before.items() <= stored.items()
        under_way = [entry for entry in entries(tmp_path / "trials") if entry.state == "partial"]
        assert len(under_way) <= max(1, int(workers))
        assert not [problem for _, problem in damage(tmp_path / "trials") if problem]
        assert not (tmp_path / "claims.json").exists()
        before = stored
    last = Run(tmp_path, workers)
    said = last.finish()
    assert before.items() <= last.stored().items(), "none was run again"
    assert said == whole.finish()
    assert last.stored().keys() == whole.stored().keys()
    assert len({claim["provenance"]["draws"] for claim in said.values()}) > 1, "they are of several rounds"


def test_ctrl_c_ends_the_budget_of_all_workers_and_the_run_goes_on_to_its_report(whole, tmp_path):
    run = Run(tmp_path, "2")
    run.wait_for(26)  # 16 draws apart say that the model learns in context; then the claims are looked at after 8
    os.killpg(run.process.pid, signal.SIGINT)
    said = run.finish(but={"partial"})
    assert {claim["provenance"]["draws"] for claim in said.values()} >= {"8; no more was to be run"}
    assert not json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))["run"]["interrupted"]
    whole.finish()
    assert run.stored().keys() < whole.stored().keys()
