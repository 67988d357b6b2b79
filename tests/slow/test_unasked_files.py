"""Leaving out files in which `-m` selects nothing changes nothing about what is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, pytest
class Look:
    def pytest_sessionstart(self):
        if sys.argv[1] == "all":
            import icl_claims.pytest_plugin.options as options
            options.selects_nothing_in = lambda *_: False

    def pytest_collection_finish(self, session):
        print(*sorted(item.nodeid for item in session.items), sep="\\n")
quietly = ["--collect-only", "-p", "no:terminal", "-p", "no:cacheprovider"]
sys.exit(pytest.main([*quietly, "claims", *sys.argv[2:]], [Look()]))
"""


def collected(files, expression):
    command = [sys.executable, "-c", PROGRAM, files, "-m", expression]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("expression", ["printed", "trials and not gpu", "not exact", "exact and not trained"])
def test_leaving_files_out_leaves_out_no_claim(expression):
    asked = collected("asked", expression)
    assert asked
    assert asked == collected("all", expression)
