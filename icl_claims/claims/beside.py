"""What other runs said of claims, kept in files beside them: on fresh draws, and under other specifications."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from icl_claims.errors import ClaimError

LEAST_SHARE = 0.8
"""The share of groups that must say a word again for it to be registered."""


@dataclass(frozen=True)
class Replicated:
    """What disjoint groups of draws said of a claim.

    Args:
        rule: Digest of the rule that decided.
        groups: How many there were.
        replicates: Draws in each.
        words: In how many each word was said.
    """

    rule: str
    groups: int
    replicates: int
    words: Mapping[str, int]

    def share(self, word: str) -> float:
        """In which share of the groups a word was said.

        >>> Replicated("", 8, 24, {"supported": 6, "inconclusive": 2}).share("supported")
        0.75
        """
        return self.words.get(word, 0) / self.groups

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        """What was written as plain data."""
        return cls(entry["rule"], int(entry["groups"]), int(entry["replicates"]), dict(entry["words"]))


@dataclass(frozen=True)
class Specified:
    """What the rule of a claim says under one specification of its trials.

    Args:
        name: Of the specification.
        verdict: The word.
        default: Whether it is the profile as it stands.
        effect: The difference over all tasks with its interval; None where there is none.
    """

    name: str
    verdict: str
    default: bool
    effect: Mapping[str, Any] | None


@dataclass(frozen=True)
class SpecificationCurve:
    """What the rule of a claim says under several specifications of its trials (Simonsohn et al. 2020).

    Args:
        rule: Digest of the rule that decided.
        specifications: All that were tried.
    """

    rule: str
    specifications: tuple[Specified, ...]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        """What was written as plain data."""
        return cls(entry["rule"], tuple(Specified(**one) for one in entry["specifications"]))


Entry = TypeVar("Entry", Replicated, SpecificationCurve)


@dataclass(frozen=True)
class FileBeside(Generic[Entry]):
    """A file beside the claims that a command writes: entries by profile and claim.

    Args:
        name: Of the file.
        command: That writes it.
        entry: What it holds of each claim.
    """

    name: str
    command: str
    entry: type[Entry]

    def read(self, path: Path) -> Mapping[tuple[str, str], Entry]:
        """What is known, by profile and claim; nothing where there is no file.

        Raises:
            ClaimError: The file is malformed.
        """
        found: Mapping[tuple[str, str], Entry] = _read(self, path, path.stat().st_mtime_ns if path.exists() else None)
        return found

    def written(self, path: Path, profile: str, found: Mapping[str, Entry]) -> str:
        """The text of the file with what was found for a profile; that of other profiles stays.

        Raises:
            ClaimError: The file that lies there is malformed.
        """
        content: dict[str, dict[str, object]] = {}
        for (other, claim), known in self.read(path).items():
            if other != profile:
                content.setdefault(other, {})[claim] = asdict(known)
        content[profile] = {claim: asdict(known) for claim, known in sorted(found.items())}
        return json.dumps(content, indent=1) + "\n"


@cache
def _read(file: FileBeside[Entry], path: Path, changed: int | None) -> dict[tuple[str, str], Entry]:
    """What is in the file as it was at a time; None where it is not there."""
    if changed is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            (profile, claim): file.entry.of(entry)
            for profile, claims in content.items()
            for claim, entry in claims.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        todo = f"Write it again: {file.command}."
        raise ClaimError(f"{path} is malformed", expected=f"what `{file.command}` writes", todo=todo) from error


REPLICATIONS = FileBeside("replications.json", "icl-claims replicate", Replicated)
SPECIFICATIONS = FileBeside("specifications.json", "icl-claims specifications", SpecificationCurve)
