"""What the same rules say of fresh draws: disjoint groups of replicates, each decided by itself."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import typer

from icl_claims.claims.replications import REPLICATIONS, Replicated, written
from icl_claims.errors import ClaimError, UsageError
from icl_claims.experiments.profiles import find_profile
from icl_claims.storage.files import write_atomically


def replicate_and_write(folder: Path, profile: str, *, groups: int, first: int) -> None:
    """Decide the claims on trials once for each group, and write how often each word was said beside the claims.

    Groups begin after the draws of the profile itself, so that what replicates a verdict is no part of it. Every group
    that is done is written; trials are stored, so that an interrupted command goes on where it stood.

    Raises:
        UsageError: The profile is not one whose draws are its own.
        ClaimError: A group was not decided, or the file cannot be written.
    """
    draws = find_profile(profile).draws
    if find_profile(profile).query_draw != "own":
        raise UsageError(f"The profile {profile} has the authors' draws", expected="one with draws of its own")
    words: dict[str, Counter[str]] = {}
    for group in range(groups):
        seeds = range((first + group) * draws, (first + group + 1) * draws)
        for claim, word in _words(folder, profile, seeds).items():
            words.setdefault(claim, Counter())[word] += 1
        found = {claim: Replicated(group + 1, draws, dict(counted)) for claim, counted in words.items()}
        try:
            write_atomically(folder / REPLICATIONS, written(folder / REPLICATIONS, profile, found))
        except OSError as error:
            raise ClaimError(f"{folder / REPLICATIONS} cannot be written: {error}") from error
        typer.echo(f"group {group + 1} of {groups}, seeds {seeds.start} to {seeds.stop - 1}: {len(words)} claims")


def _words(folder: Path, profile: str, seeds: range) -> dict[str, str]:
    """The word of every claim that trials decide, on draws of these seeds."""
    with tempfile.TemporaryDirectory(prefix="icl_claims_") as report:
        asked = ["-m", "trials and not gpu", "--claims-profile", profile, "--claims-report", report, "-q"]
        drawn = ["--claims-seeds", ",".join(map(str, seeds)), "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", str(folder), *asked, *drawn]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        file = Path(report) / "claims.json"
        if not file.is_file():
            raise ClaimError(f"The draws {seeds.start} to {seeds.stop - 1} decided nothing", got=done.stdout[-500:])
        claims = json.loads(file.read_text(encoding="utf-8"))["claims"]
    return {claim["id"]: claim["verdict"] for claim in claims if claim["source"] == "trials"}
