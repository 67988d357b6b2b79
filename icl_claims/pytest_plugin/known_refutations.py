"""Refutations that are already known and explained: expected failures, strict both ways."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import pytest

from icl_claims.errors import ClaimError
from icl_claims.pytest_plugin.options import choices_of

FILE = "known_refutations.toml"


def expected_refutation(item: pytest.Item, claim: str, source: str) -> str | None:
    """Why a claim is known to be refuted on a source; None where it is not.

    The file lies beside the claims, or in a folder above them. An entry about trials holds for one profile, and only
    where the reader changed nothing of it.

    Raises:
        ClaimError: the file is malformed.
    """
    for folder in item.path.parents:
        if (folder / FILE).is_file():
            known = _known(folder / FILE)
            if source != "trials":
                return known.get((claim, source, ""))
            choices = choices_of(item.config, item.callspec.params["evidence"][1] if hasattr(item, "callspec") else "")
            return None if choices.changed else known.get((claim, source, choices.profile.name))
        if folder == item.config.rootpath:
            break
    return None


@cache
def _known(path: Path) -> dict[tuple[str, str, str], str]:
    """Reasons by claim, source and, for trials, profile."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("refuted", [])
        return {(entry["claim"], entry["source"], entry.get("profile", "")): entry["reason"] for entry in entries}
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ClaimError(
            f"{path} is malformed", expected="tables [[refuted]] with claim, source and reason", got=str(error)
        ) from error
