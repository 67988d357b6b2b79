"""A file of claims is left out only where `-m` selects none of them; then its imports cost nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from icl_claims.pytest_plugin.options import selects_nothing_in

ROOT = Path(__file__).parents[2]
EXACT = """
@rethinking.claim("one", where="section 1", on="exact", rule=IN_EVERY_CASE, trained=True)
def test_one(evidence, decide): ...

@test_one.claim.decided_on("exact", trained=True)
def test_further(evidence, decide): ...

@test_one.claim.needs("a condition")
def test_other(evidence, decide): ...
"""
DATA = """
@rethinking.claim("one", where="table 2", on="printed trials")
def test_one():
    return sim_aou(LC) > sim_aou(FT)
"""
FURTHER = """
@test_one.claim.decided_on("printed", "trials")
def test_further(evidence, decide): ...
"""
UNCERTAIN = {
    "no claims": "def test_one(): ...",
    "another mark": "@pytest.mark.slow\n" + DATA.strip(),
    "a mark of the module": "pytestmark = pytest.mark.slow\n" + DATA,
    "a class": DATA + "\nclass TestMore: ...",
    "sources made elsewhere": DATA.replace('"printed trials"', '" ".join(SOURCES)'),
    "further sources made elsewhere": FURTHER.replace('"printed", "trials"', "*SOURCES"),
    "a decorator made elsewhere": DATA.replace("rethinking.claim(", "my_claim("),
    "no Python": "def test_one(",
}


@pytest.fixture
def file_of(tmp_path):
    def write(text):
        path = tmp_path / "test_file.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("expression", ["printed", "trials and not gpu", "not exact", "printed or trials", "gpu"])
def test_mathematics_is_left_out_where_other_sources_are_asked(file_of, expression):
    assert selects_nothing_in(file_of(EXACT), expression)
    for text in (DATA, FURTHER, DATA + FURTHER):
        assert not selects_nothing_in(file_of(text), expression)


@pytest.mark.parametrize("expression", ["exact", "exact and trained", "not trained", "claim", "not (gpu or trials)"])
def test_a_file_in_which_one_test_is_selected_is_not_left_out(file_of, expression):
    assert not selects_nothing_in(file_of(EXACT), expression)


@pytest.mark.parametrize("text", UNCERTAIN.values(), ids=UNCERTAIN.keys())
@pytest.mark.parametrize("expression", ["exact", "slow"])
def test_a_file_about_which_nothing_is_certain_is_not_left_out(file_of, text, expression):
    assert not selects_nothing_in(file_of(text), expression)


@pytest.mark.parametrize("expression", ["", "exact and", "slow(level=3)", "1"])
def test_an_expression_that_is_not_understood_leaves_nothing_out(file_of, expression):
    assert not selects_nothing_in(file_of(DATA), expression)


def collected(*options, check=""):
    """The tests that a run selects; and a check at the end of the collection, in Python."""
    program = f"""
import sys, pytest
class Look:
    def pytest_collection_finish(self, session):
        {check or "pass"}
        print(*sorted(item.nodeid for item in session.items), sep="\\n")
sys.exit(pytest.main(["--collect-only", "-p", "no:terminal", "-p", "no:cacheprovider", *sys.argv[1:]], [Look()]))
"""
    command = [sys.executable, "-c", program, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout.split()


def test_printed_claims_are_collected_without_mathematics():
    heavy = '{"transformers", "scipy.stats", "claims.small_transformers", "claims.rethinking.test_2_1_dual_form"}'
    found = collected("claims", "-m", "printed", check=f"assert not {heavy} & set(sys.modules), 'heavy'")
    assert found
    assert all("[printed]" in nodeid for nodeid in found)


def test_a_file_that_is_named_is_collected_whatever_is_asked():
    file = "claims/rethinking/test_2_1_dual_form.py"
    assert collected(file, "-m", "exact")
    program = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", file, "-m", "printed"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=ROOT)
    assert "deselected" in done.stdout
