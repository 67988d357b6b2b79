"""The facts of a run: when, how long, with what, on what, at which commit."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from icl_claims.version import __version__

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "pandas", "pytest", "hypothesis")


def run_facts(
    options: dict[str, Any], *, seconds: float, root: Path, name: str = "", interrupted: bool = False
) -> dict[str, Any]:
    """Everything that a reader needs to run the same again.

    Args:
        options: What was chosen on the command line.
        seconds: Duration of the run.
        root: The project's folder, whose commit is named.
        name: Name that the reader gave the run.
        interrupted: Whether some of its claims were not reached.
    """
    return {
        "name": name,
        "interrupted": interrupted,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "options": options,
        "icl_claims": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "libraries": libraries(),
        "commit": _commit(root),
    }


def libraries() -> dict[str, str]:
    """The versions of the libraries whose versions may change a number."""
    return {name: found for name in LIBRARIES if (found := _version(name))}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _commit(root: Path) -> str:
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
