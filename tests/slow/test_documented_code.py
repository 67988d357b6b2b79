"""Every block of code of README and documentation is run, and gives what stands below it; so is the notebook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from doctest import ELLIPSIS, OutputChecker

import pytest

from tests.fast.documented import BLOCKS, COMMANDS, ROOT

NOTEBOOK = ROOT / "examples" / "simaou_by_layer.ipynb"
FEW = ("--claims-profile=tiny", "--claims-seeds=1,2", "--claims-k=4", "--claims-queries=8", "-n", "0")
FILES = [block for block in BLOCKS if block.file]
PROGRAMS = sorted({block.page for block in BLOCKS if block.kind == "python" and not block.file})
CONSOLES = [block for block in BLOCKS if block.kind == "console"]
CHEAP = ("icl-claims doctor", "icl-claims list", "icl-claims rules", "icl-claims cache ls", "icl-claims cache verify")


@pytest.fixture
def run(tmp_path):
    """Run a command in a folder of its own, with a cache of its own."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {k: v for k, v in os.environ.items() if k != "ICL_CLAIMS_DATA"}
    environment |= {"ICL_CLAIMS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}

    def ran(*command, cwd=tmp_path):
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr * bool(done.returncode)

    return ran


def script(program):
    """The command of a Python program, such as `icl-claims`, without its being installed."""
    modules = {"pytest": ("-m", "pytest"), "icl-claims": ("-c", "from icl_claims.cli import main; main()")}
    return (sys.executable, *modules[program])


@pytest.mark.parametrize("page", PROGRAMS)
def test_the_code_of_a_page_gives_what_stands_below_it(page, run, tmp_path):
    blocks = [block for block in BLOCKS if block.page == page and block.kind in ("python", "text") and not block.file]
    (tmp_path / "program.py").write_text(
        "\n".join(one.text for one in blocks if one.kind == "python"), encoding="utf-8"
    )
    code, said = run(sys.executable, "-W", "error", "program.py")
    assert code == 0, said
    assert said == "".join(one.text for one in blocks if one.kind == "text")


@pytest.mark.parametrize("block", FILES, ids=[block.page for block in FILES])
def test_the_claims_of_a_page_are_decided(block, run, tmp_path):
    (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    options = (*FEW, "-m", "not gpu and (exact or author_runs or trials)" if "exact" in block.text else "author_runs")
    code, said = run(*script("pytest"), ".", "-p", "no:cacheprovider", f"--claims-report={tmp_path}", *options)
    assert code in (0, 1), said
    claims = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))["claims"]
    verdicts = {claim["source"]: claim["verdict"] for claim in claims}
    if "exact" in block.text:
        assert verdicts == {"exact": "supported", "trials": "inconclusive"}, "two draws decide nothing"
    else:
        assert set(verdicts) == {"author_runs"}
        assert verdicts["author_runs"] not in ("error", "not run")


@pytest.mark.parametrize("block", CONSOLES, ids=[block.text.partition("\n")[0] for block in CONSOLES])
def test_a_command_says_what_stands_below_it(block, run, tmp_path):
    first, _, wanted = block.text.partition("\n")
    program, *arguments = first.removeprefix("$ ").split()
    arguments = [str(tmp_path) if one == "reports" else one for one in arguments]
    code, said = run(*script(program), *arguments, cwd=ROOT)
    assert code == 0, said
    assert OutputChecker().check_output(wanted, said, ELLIPSIS), said


@pytest.mark.parametrize("line", CHEAP)
def test_a_command_that_costs_little_runs(line, run):
    assert line in COMMANDS
    program, *arguments = line.split()
    code, said = run(*script(program), *arguments, cwd=ROOT)
    assert code == 0, said


def test_the_notebook_gives_the_numbers_that_are_saved_in_it(monkeypatch, tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="not installed: pip install -e '.[test]'")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path))
    saved = nbformat.read(NOTEBOOK, as_version=4)
    again = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(again, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    results = [results_of(one) for one in (saved, again)]
    accuracies = results[1][1]
    assert accuracies["in-context learning"] > 0.9 > accuracies["zero-shot"]
    for one, other in zip(*results, strict=True):
        if isinstance(one, dict):
            assert one.keys() == other.keys()
            assert all(other[name] == pytest.approx(value, abs=0.05) for name, value in one.items())
        else:
            assert one == other
    assert sum("image/png" in output.get("data", {}) for cell in again.cells for output in cell.get("outputs", ())) == 1


def results_of(notebook):
    """What the cells of a notebook gave, as Python objects."""
    from ast import literal_eval

    results = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [literal_eval(one["data"]["text/plain"]) for one in results if one["output_type"] == "execute_result"]
