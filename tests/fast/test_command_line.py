"""What is said of the command line holds: exit codes, JSON, completion, colours, and the example of a job on GitHub."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from icl_claims import cli
from icl_claims.cli.exit_codes import EXIT_CODES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
JOB = yaml.safe_load((ROOT / "examples" / "github_actions.yml").read_text(encoding="utf-8"))["jobs"]["exact"]
RUN = "from icl_claims.cli import main; main()"
WITHOUT_JSON = {
    *("run", "replicate", "specifications"),  # what they decide is in a file of JSON
    *("export", "compare"),  # which have --to
    *("cache import", "data fetch"),  # which bring something here
}
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|38|9[0-7])[;m]")


def commands(group=None, before=()):
    for name, command in (group or get_command(cli.app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*before, name))
        else:
            yield " ".join((*before, name)), command


def shell(*arguments, program=RUN, **environment):
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_every_command_that_lists_prints_json_and_the_page_names_it():
    having = {name for name, command in commands() if any("--json" in option.opts for option in command.params)}
    assert having | WITHOUT_JSON == {name for name, _ in commands()}
    assert not having & WITHOUT_JSON
    named = PAGE.partition("with `--json`:")[2].partition(". ")[0]
    assert set(re.findall(r"`([^`]+)`", named)) == having


def test_the_exit_codes_are_on_the_page_and_in_the_help():
    table = dict(re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE))
    assert {int(code): meaning for code, meaning in table.items()} == dict(EXIT_CODES)
    shown = " ".join(shell("--help", NO_COLOR="1", COLUMNS="300").stdout.split())
    for code, meaning in EXIT_CODES.items():
        assert f"{code}: {meaning}" in shown
    assert "--install-completion" in shown


def test_ctrl_c_has_its_exit_code(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.json, "dumps", interrupted)
    code, _, _ = run("studies", "--json")
    assert code == 130
    assert code in EXIT_CODES


@pytest.mark.parametrize(("typed", "offered"), [("icl-claims r", "run"), ("icl-claims plan --prof", "--profile")])
def test_the_shell_completes_commands_and_options(typed, offered):
    asked = {"_ICL_CLAIMS_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    program = "import sys; sys.argv[0] = 'icl-claims'; from icl_claims.cli import main; main()"
    assert offered in shell(program=program, **asked).stdout.split()


def test_no_color_is_heard_by_help_tables_and_errors():
    coloured = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    for arguments in (["--help"], ["list", "/nowhere"]):
        with_colours, without = (shell(*arguments, **coloured, **more) for more in ({}, {"NO_COLOR": "1"}))
        assert COLOUR.search(with_colours.stdout + with_colours.stderr)
        assert not COLOUR.search(without.stdout + without.stderr)


def test_studies_are_listed_as_data(run):
    code, out, _ = run("studies", "--json")
    assert code == 0
    found = {one["study"]: one for one in json.loads(out)}
    assert "tiny" in found["main"]["profiles"]
    assert "finetuning" in found["main"]["methods"]


def test_the_example_of_a_job_decides_claims_and_shows_them_on_its_page(tmp_path):
    steps = [step["run"] for step in JOB["steps"] if "run" in step]
    assert [step for step in steps if "-m exact" in step]
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name, program in (("pip", "exit 0"), ("icl-claims", f'exec "{sys.executable}" -c "{RUN}" "$@"')):
        (bin_folder / name).write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
        (bin_folder / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "ICL_CLAIMS_CACHE": str(tmp_path / "cache"),
        "PYTEST_ADDOPTS": "-p no:cacheprovider --claims-only order-invariance",
        "PYTHONPATH": str(ROOT),
    }
    for step in steps:
        subprocess.run(["bash", "-e", "-c", step], check=True, cwd=tmp_path, env=environment, capture_output=True)
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "order-invariance" in summary
    assert "supported" in summary
