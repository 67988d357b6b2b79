"""Which data set on the Hugging Face Hub holds a task: its revision, and how its rows are known again."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

SHOWN = 8
"""Letters of a revision that are shown."""
_REVISION = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HubSplit:
    """A part of a data set.

    Args:
        name: As the Hub calls it.
        rows: How many there are.
        digest: Of all rows, as `rows_digest` has it; empty where it is not known.
        known: Digests of single rows by their places from 0, where that of all is not known.
    """

    name: str
    rows: int
    digest: str = ""
    known: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class HubDataset:
    """The data set of a task.

    Args:
        repository: Its name on the Hub, or a folder that holds such a repository.
        revision: The commit.
        configuration: The part of the repository; None where there is one alone.
    """

    repository: str
    revision: str
    train: HubSplit
    validation: HubSplit
    configuration: str | None = None

    @property
    def title(self) -> str:
        """Its name with the commit in short: `nyu-mll/glue (sst2) at bcdcba79`."""
        part = f" ({self.configuration})" if self.configuration else ""
        return f"{self.repository}{part} at {self.revision[:SHOWN]}"

    def split(self, name: str) -> HubSplit:
        """What is `train` or `validation` to us."""
        return self.train if name == "train" else self.validation


Row = tuple[Mapping[str, str], int]
"""The fields of a row by name, and its label."""


def rows_digest(rows: Iterable[Row]) -> str:
    """SHA-256 of rows in their order: of a line of JSON for each, with its texts by field, and its label.

    >>> rows_digest([({"text": "good"}, 1)])[:8]
    'cf4fcdfa'
    """
    found = hashlib.sha256()
    for texts, label in rows:
        found.update(json.dumps([sorted(texts.items()), label], ensure_ascii=False).encode(errors="replace") + b"\n")
    return found.hexdigest()


def is_hub_dataset(value: Any) -> bool:
    """Whether an entry of a description says which data set holds a task."""
    needed = {"repository", "revision", "train", "validation"}
    if not isinstance(value, dict) or not needed <= value.keys() <= {*needed, "configuration"}:
        return False
    texts = (value["repository"], value.get("configuration", "default"))
    named = all(isinstance(one, str) and one.strip() for one in texts)
    return named and bool(_REVISION.fullmatch(str(value["revision"]))) and all(map(_is_split, _splits(value)))


def hub_dataset(value: Mapping[str, Any]) -> HubDataset:
    """The data set that such an entry describes."""
    train, validation = (HubSplit(**one) for one in _splits(value))
    return HubDataset(value["repository"], value["revision"], train, validation, value.get("configuration"))


def _splits(value: Mapping[str, Any]) -> tuple[Any, Any]:
    return value["train"], value["validation"]


def _is_split(value: Any) -> bool:
    if not isinstance(value, dict) or not {"name", "rows"} <= value.keys() <= {"name", "rows", "digest", "known"}:
        return False
    known, digest = value.get("known", {}), value.get("digest", "")
    digests = [*([digest] if digest else []), *(known.values() if isinstance(known, dict) else [None])]
    rows = type(value["rows"]) is int and value["rows"] > 0 and isinstance(value["name"], str)
    return rows and all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in digests)
