"""Since when the rules of claims stand: read from the registry beside them, compared, and registered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from icl_claims.claims.registry import (
    REGISTRY,
    SHOWN,
    Registered,
    nearest_file,
    registered_rules,
    registry_text,
    rule_digest,
    rule_tests,
    updated,
)
from icl_claims.claims.rule_history import standing_since
from icl_claims.errors import ClaimError, UsageError
from icl_claims.pytest_plugin.claims_of_folder import ClaimsOfFolder, collect_claims
from icl_claims.storage.files import write_atomically
from icl_claims.storage.source_code import PACKAGE


def rules_and_print(folder: Path, *, write: bool, today: date | None, as_json: bool) -> bool:
    """Print the rule of each claim with its date and whether it changed since, or register it; whether all stand.

    Raises:
        UsageError: No claims are in the folder, their registry lies above it, or is to be written in a wheel.
        ClaimError: The registry is malformed or cannot be written.
    """
    if write and folder.resolve().is_relative_to(PACKAGE.resolve()):
        todo = "Name the folder of your claims, or change them in a clone."
        raise UsageError(f"The claims in {folder} are installed, and not written to", todo=todo)
    collected = collect_claims(folder)
    known = registered_rules(_registry(folder))
    digests = {name: rule_digest(claim, module) for name, (claim, module) in collected.declared().items()}
    if write:
        new = updated(known or _first(folder, collected, digests), digests, today or datetime.now(UTC).date())
        try:
            write_atomically(_registry(folder), registry_text(new))
        except OSError as error:
            raise ClaimError(f"The rules cannot be registered in {_registry(folder)}: {error}") from error
        known = new
    entries = [_entry(name, digests.get(name), known.get(name)) for name in sorted({*digests, *known})]
    if as_json:
        typer.echo(json.dumps(entries, indent=1))
    else:
        _print(entries)
    return all(entry["state"] == "stands" for entry in entries)


def _registry(folder: Path) -> Path:
    found = nearest_file(REGISTRY, folder.resolve(), Path("/"))
    if found is not None and found.parent != folder.resolve():
        todo = f"Run icl-claims rules {found.parent}."
        raise UsageError(f"The rules of {folder} are registered in {found}", todo=todo)
    return folder / REGISTRY


def _first(folder: Path, collected: ClaimsOfFolder, digests: Mapping[str, str]) -> dict[str, Registered]:
    """What git shows of rules that were never registered."""
    tests = {name: rule_tests(claim, module) for name, (claim, module) in collected.declared().items()}
    stand = standing_since(folder, tests)
    return {name: Registered(digests[name], commit.day, commit.id) for name, commit in stand.items()}


def _entry(name: str, digest: str | None, known: Registered | None) -> dict[str, str]:
    since = "" if known is None else known.since.isoformat()
    state = "stands" if known is not None and known.digest == digest else "changed"
    if known is None or digest is None:
        state = "new" if known is None else "gone"
    return {"id": name, "digest": digest or "", "since": since, "state": state}


def _print(entries: list[dict[str, str]]) -> None:
    standing = sum(entry["state"] == "stands" for entry in entries)
    table = Table("claim", "digest", "since", "state", title=f"{standing} of {len(entries)} rules stand as registered")
    for entry in entries:
        style = None if entry["state"] == "stands" else "yellow"
        table.add_row(*map(escape, ({**entry, "digest": entry["digest"][:SHOWN]}).values()), style=style)
    Console().print(table)
    if standing < len(entries):
        Console().print("To register them as they are: icl-claims rules --write", soft_wrap=True)
