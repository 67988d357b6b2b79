"""What other runs said of claims, kept in files beside them: on fresh draws, and under other specifications."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from itertools import combinations
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
        replicates: Draws in each group.
        said: The word of each group, in their order.
    """

    rule: str
    replicates: int
    said: tuple[str, ...]

    def share(self, word: str) -> float:
        """In which share of the groups a word was said.

        >>> Replicated("", 24, ("supported", "supported", "supported", "inconclusive")).share("supported")
        0.75
        """
        return self.said.count(word) / len(self.said)

    @property
    def record(self) -> dict[str, Any]:
        """As plain data for a report: in how many groups each word was said."""
        return {"groups": len(self.said), "replicates": self.replicates, "words": dict(Counter(self.said))}

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        """What was written as plain data."""
        return cls(entry["rule"], int(entry["replicates"]), tuple(entry["said"]))


def differing(found: Collection[Replicated]) -> list[float]:
    """For each pair of groups, the share of claims of which they say different words.

    >>> differing([Replicated("", 24, ("refuted", "refuted", "vacuous")), Replicated("", 24, ("vacuous",) * 3)])
    [0.0, 0.5, 0.5]
    """
    groups = range(min((len(one.said) for one in found), default=0))
    return [sum(one.said[a] != one.said[b] for one in found) / len(found) for a, b in combinations(groups, 2)]


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

    @property
    def record(self) -> list[dict[str, Any]]:
        """As plain data for a report."""
        return [asdict(one) for one in self.specifications]

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
