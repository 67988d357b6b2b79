"""What an installed wheel brings, laid out as the build configuration says: the claims, under their names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from icl_claims.cli import main; main()"]
SOME = ("--claims-only", "percentages-are-counts,order-invariance", "-m", "not trials")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of an installed wheel, without its metadata."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    site, without = tmp_path_factory.mktemp("site"), shutil.ignore_patterns("__pycache__")
    mapped = {name: name for name in wheel["wheel"]["packages"]} | wheel["wheel"]["force-include"]
    for source, target in mapped.items():
        shutil.copytree(ROOT / source, site / target, ignore=without)
    return site


def icl_claims(site, here, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(site), "ICL_CLAIMS_CACHE": str(here.parent / "cache")}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    here.mkdir(exist_ok=True)
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, cwd=here, env=environment
    )


def records(folder):
    return json.loads((folder / "reports" / "claims.json").read_text(encoding="utf-8"))["claims"]


def test_the_rules_of_a_wheel_stand_as_those_of_the_clone(installed, tmp_path):
    found = json.loads(icl_claims(installed, tmp_path / "empty", "rules", "--json").stdout)
    assert {one["state"] for one in found} == {"stands"}
    assert {one["id"] for one in found} == set(tomllib.loads((ROOT / "claims" / "rules.toml").read_text("utf-8")))


def test_claims_are_decided_in_an_empty_folder_under_the_names_of_the_clone(installed, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in installed.rglob("*")}
    done = icl_claims(installed, tmp_path / "empty", "run", "-q", *SOME)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: path.stat().st_mtime_ns for path in installed.rglob("*")} == before
    assert {path.name for path in (tmp_path / "empty").iterdir()} <= {"reports", ".hypothesis"}
    found = records(tmp_path / "empty")
    assert {one["id"] for one in found} == {"percentages-are-counts", "order-invariance"}
    for one in found:
        assert (ROOT / one["test"].partition("::")[0]).is_file()
        assert one["rule_since"]
        assert one["verdict"] in ("supported", "consistent")
    module = "icl_claims.papers"
    again = icl_claims(installed, tmp_path / "other", "run", "--pyargs", module, "-q", "-n", "1", *SOME)
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"{len(found)} as an earlier run of the same code decided" in again.stdout
    assert [one["test"] for one in records(tmp_path / "other")] == [one["test"] for one in found]


def test_the_exit_code_of_pytest_passes_through(installed, tmp_path):
    assert icl_claims(installed, tmp_path / "here", "run", "--nonsense").returncode == 4


def test_what_is_installed_is_not_written_to(installed, tmp_path):
    done = icl_claims(installed, tmp_path / "here", "rules", "--write")
    assert done.returncode == 2
    assert "are installed, and not written to. Name the folder of your claims" in " ".join(done.stderr.split())
