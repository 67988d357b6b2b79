"""How verdicts on trials fared on fresh draws: a file beside the claims, which a command writes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from icl_claims.errors import ClaimError

REPLICATIONS = "replications.json"
LEAST_SHARE = 0.8
"""The share of groups that must say a word again for it to be registered."""


@dataclass(frozen=True)
class Replicated:
    """What disjoint groups of draws said of a claim.

    Args:
        groups: How many there were.
        replicates: Draws in each.
        words: In how many each word was said.
    """

    groups: int
    replicates: int
    words: Mapping[str, int]

    def share(self, word: str) -> float:
        """In which share of the groups a word was said.

        >>> Replicated(8, 24, {"supported": 6, "inconclusive": 2}).share("supported")
        0.75
        """
        return self.words.get(word, 0) / self.groups


@cache
def read_replications(path: Path) -> dict[tuple[str, str], Replicated]:
    """What is known, by profile and claim; nothing where there is no file.

    Raises:
        ClaimError: The file is malformed.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {
            (profile, claim): Replicated(entry["groups"], entry["replicates"], dict(entry["words"]))
            for profile, claims in found.items()
            for claim, entry in claims.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        todo = "Write it again: icl-claims replicate."
        raise ClaimError(f"{path} is malformed", expected="what `icl-claims replicate` writes", todo=todo) from error


def written(path: Path, profile: str, found: Mapping[str, Replicated]) -> str:
    """The text of the file with what was found for a profile; that of other profiles stays.

    Raises:
        ClaimError: The file that lies there is malformed.
    """
    before: dict[str, dict[str, object]] = {}
    for (other, claim), known in read_replications.__wrapped__(path).items():
        if other != profile:
            before.setdefault(other, {})[claim] = asdict(known)
    before[profile] = {claim: asdict(known) for claim, known in sorted(found.items())}
    return json.dumps(before, indent=1) + "\n"
