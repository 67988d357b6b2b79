"""The command `icl-claims run`: pytest on the claims, wherever these are installed."""

import glob
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from icl_claims.fixtures_folder import claims_folder
from icl_claims.pytest_plugin.places import place_of


def run_claims(context: typer.Context) -> None:
    """Decide the claims by pytest, whose arguments may follow; the report goes to `reports/` where one stands.

    The claims are those of the folder `claims`, if there is one here, else those that ship with the project. Tests may
    be named as `icl-claims list` prints them. The exit code is that of pytest, whose options `icl-claims run -- --help`
    lists.

    For example: icl-claims run -m exact; icl-claims run --claims-budget 10m -n auto; icl-claims run --claims-only
    lc-aou-5of6,order-invariance
    """
    raise typer.Exit(_run(pytest_command(context.args)))


def pytest_command(arguments: Sequence[str]) -> list[str]:
    """The command by which pytest decides the claims, those of `claims_folder()` where the arguments name no tests.

    What it leaves, such as `reports`, lies where one stands. Python does not look there for modules (`-P`), as it does
    not when `pytest` is typed.
    """
    claims = f"testpaths={shlex.quote(glob.escape(str(claims_folder().absolute())))}"
    where = ["--rootdir", str(Path.cwd()), "--override-ini", claims, "--import-mode=importlib"]
    return [sys.executable, "-P", "-m", "pytest", *where, *map(place_of, arguments)]


def _run(command: list[str]) -> int:
    """Run it in the place of this process, so that signals and the exit code are pytest's; on Windows, return that."""
    if os.name != "nt":
        sys.stdout.flush()
        os.execv(command[0], command)
    return subprocess.run(command, check=False).returncode
