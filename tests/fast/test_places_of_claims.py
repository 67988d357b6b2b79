"""The project's claims have the same names wherever they lie, and `--claims-only` takes some of them by their ids."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from icl_claims.cli.run import pytest_command
from icl_claims.fixtures_folder import claims_folder, shipped_claims
from icl_claims.pytest_plugin.places import named_places, place_of, shipped_name

ROOT = Path(__file__).parents[2]
TABLES = "claims/rethinking/test_tables.py"
OWN = """
    from icl_claims.claims import IN_EVERY_CASE, Paper, Verdict
    note = Paper("note", "A note")

    @note.claim("one", where="line 1", rule=IN_EVERY_CASE, on="exact")
    def test_one(evidence, decide):
        "One is one."
        decide(Verdict("supported", "Because."))

    @note.claim("two", where="line 2", rule=IN_EVERY_CASE, on="exact")
    def test_two(evidence, decide):
        "Two is three."
        decide(Verdict("refuted", "It is two."))
"""


def test_the_claims_of_a_clone_lie_beside_the_package_and_are_those_of_who_stands_in_it(monkeypatch, tmp_path):
    assert shipped_claims() == ROOT / "claims"
    monkeypatch.chdir(ROOT)
    assert claims_folder() == Path("claims")
    monkeypatch.chdir(tmp_path)
    assert claims_folder() == ROOT / "claims"


def test_a_test_is_found_by_its_name_from_anywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert place_of(f"{TABLES}::test_one[exact]") == f"{ROOT / TABLES}::test_one[exact]"
    assert [place_of(name) for name in ("claims/nowhere.py", "-m", "exact", "", "own")] == [
        "claims/nowhere.py",
        "-m",
        "exact",
        "",
        "own",
    ]
    assert shipped_name(ROOT / TABLES) == TABLES
    assert shipped_name(tmp_path / TABLES) is None


def test_a_folder_of_claims_of_ones_own_goes_first(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / TABLES
    own.parent.mkdir(parents=True)
    own.touch()
    assert place_of(TABLES) == TABLES
    assert f"testpaths={tmp_path / 'claims'}" in pytest_command([])


def test_a_folder_is_named_to_pytest_whatever_letters_it_has(monkeypatch, pytester):
    own = pytester.mkdir("it's a folder?")
    (own / "claims").mkdir()
    (own / "claims" / "test_it.py").write_text("def test_it(): pass\n", encoding="utf-8")
    monkeypatch.chdir(own)
    done = subprocess.run(pytest_command(["-q", "-p", "no:cacheprovider"]), capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout
    assert done.returncode == 0


def test_what_a_run_names_is_found_by_modules_too(pytester):
    pytester.makepyfile("def test_it(): pass")
    config = pytester.parseconfig("--pyargs", "icl_claims.claims", "icl_claims.claims.claim::x", "nowhere.at_all")
    package = ROOT / "icl_claims" / "claims"
    assert named_places(config) == {package, package / "claim.py", pytester.path / "nowhere.at_all"}


def test_only_the_claims_of_some_ids_are_decided(pytester):
    pytester.makepyfile(OWN)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--claims-only", " one ")
    result.assert_outcomes(passed=1, deselected=1)
    written = json.loads((pytester.path / "reports" / "claims.json").read_text(encoding="utf-8"))
    assert [claim["id"] for claim in written["claims"]] == ["one"]
    both = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--claims-only", "two,one")
    both.assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_an_unknown_id_is_refused_with_the_nearest(pytester, workers):
    pytester.makepyfile(OWN)
    result = pytester.runpytest("-p", "no:cacheprovider", "--claims-only", "one,twi", "-n", workers)
    assert result.ret != 0
    said = "*--claims-only names no claim of the 2 that were collected: *such as two, got twi.*"
    (result.stderr if workers == "0" else result.stdout).fnmatch_lines([said])


def test_the_run_of_a_claim_from_an_empty_folder_leaves_its_report_there(tmp_path):
    environment = {**os.environ, "ICL_CLAIMS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    here = tmp_path / "here"
    here.mkdir()
    program = [sys.executable, "-c", "from icl_claims.cli import main; main()", "run"]
    options = ["-q", "-p", "no:cacheprovider", "--claims-only", "percentages-are-counts"]
    done = subprocess.run([*program, *options], capture_output=True, text=True, check=False, cwd=here, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    [claim] = json.loads((here / "reports" / "claims.json").read_text(encoding="utf-8"))["claims"]
    assert claim["test"].startswith(f"{TABLES}::")
    assert claim["rule_since"]
