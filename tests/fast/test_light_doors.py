"""What a run does not need it does not import: no network for printed tables, or to say that there is no GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"transformers", "matplotlib", "huggingface_hub", "accelerate", "torch._dynamo"}
PROGRAM = """
import sys, pytest
decided = pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]])
print("exit code", int(decided), "imported", *sys.modules)
"""


def imported(folder, *options):
    """The modules that a run of claims leaves in its process, all of whose claims were decided as expected."""
    environment = {**os.environ, "ICL_CLAIMS_CACHE": str(folder / "cache"), "CUDA_VISIBLE_DEVICES": ""}
    environment["ICL_CLAIMS_PRODUCTS"] = "no kernel"  # an error to whoever chooses one, which takes a measurement
    command = [sys.executable, "-c", PROGRAM, "claims", "--claims-report", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    assert "exit code 0 " in done.stdout, done.stdout
    return set(done.stdout.rpartition("imported ")[2].split())


def test_printed_claims_are_decided_and_reported_without_networks_or_figures(tmp_path):
    for _ in ("decided", "read"):
        assert not HEAVY & imported(tmp_path, "-m", "printed")
    assert (tmp_path / "claims.html").is_file()


def test_a_machine_without_a_gpu_says_so_without_a_network(tmp_path):
    found = imported(tmp_path, "-m", "gpu")
    assert not HEAVY & found
    assert "scipy.stats" not in found
    assert "no CUDA device" in (tmp_path / "claims.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["torch", "numpy", "pytest", "pandas"])
def test_the_package_itself_imports_nothing_heavy(name):
    program = f"import sys, icl_claims; print({name!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
