"""What the same rules say of fresh draws: disjoint groups of replicates, each looked at and decided by itself."""

from pathlib import Path
from statistics import mean

import typer

from icl_claims.claims.beside import REPLICATIONS, Replicated, differing
from icl_claims.cli.deciding import decided, keep
from icl_claims.errors import UsageError
from icl_claims.experiments.profiles import find_profile

FRESH = 10_000
"""The seed of the first fresh draw: no profile's own draws go so far."""


def replicate_and_write(folder: Path, profile: str, *, groups: int) -> None:
    """Decide the claims on trials once for each group, and write how often each word was said beside the claims.

    No group has a draw of the profile itself, so that what replicates a verdict is no part of it. Every group that is
    done is written; trials are stored, so that an interrupted command goes on where it stood.

    Raises:
        UsageError: The profile is not one whose draws are its own.
        ClaimError: A group was not decided, or the file cannot be written.
    """
    draws = find_profile(profile).draws
    if find_profile(profile).query_draw != "own":
        raise UsageError(f"The profile {profile} has the authors' draws", expected="one with draws of its own")
    said: dict[tuple[str, str], list[str]] = {}
    for group in range(groups):
        first = FRESH + group * draws
        for claim, record in decided(folder, profile, {"first_seed": str(first)}, f"The draws from {first} on").items():
            said.setdefault((claim, record["rule_digest"]), []).append(record["verdict"])
        found = {claim: Replicated(rule, draws, tuple(words)) for (claim, rule), words in said.items()}
        keep(REPLICATIONS, folder, profile, found)
        typer.echo(f"group {group + 1} of {groups}, seeds {first} to {first + draws - 1}: {len(said)} claims")
    if shares := differing(found.values()):
        most = f"at most of {max(shares):.1%}"
        typer.echo(f"two groups say different words of {mean(shares):.1%} of the claims, {most}")
