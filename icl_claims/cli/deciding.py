"""Claims decided on trials by a run of pytest of their own, whose verdicts a command reads."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from icl_claims.claims.beside import Entry, FileBeside
from icl_claims.errors import ClaimError
from icl_claims.storage.files import write_atomically


def decided(folder: Path, profile: str, options: Mapping[str, str], what: str) -> dict[str, dict[str, Any]]:
    """The records of all claims in a folder that trials decide, by claim.

    Args:
        folder: Where the claims lie.
        profile: Of the trials.
        options: Of the run, without the `--claims-` before their names.
        what: Names the run in an error.

    Raises:
        ClaimError: The run decided nothing.
    """
    with tempfile.TemporaryDirectory(prefix="icl_claims_") as report:
        given = {"profile": profile, "report": report, **options}
        asked = [f"--claims-{name.replace('_', '-')}={value}" for name, value in given.items()]
        command = [sys.executable, "-m", "pytest", str(folder), "-m", "trials and not gpu", "-q"]
        command += ["-p", "no:cacheprovider", *asked]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        file = Path(report) / "claims.json"
        if not file.is_file():
            raise ClaimError(f"{what} decided nothing", got=(done.stdout + done.stderr)[-500:])
        claims = json.loads(file.read_text(encoding="utf-8"))["claims"]
    return {claim["id"]: claim for claim in claims if claim["source"] == "trials"}


def keep(file: FileBeside[Entry], folder: Path, profile: str, found: Mapping[str, Entry]) -> None:
    """Write what was found of a profile into a file beside the claims.

    Raises:
        ClaimError: It cannot be written.
    """
    try:
        write_atomically(folder / file.name, file.written(folder / file.name, profile, found))
    except OSError as error:
        raise ClaimError(f"{folder / file.name} cannot be written: {error}") from error
