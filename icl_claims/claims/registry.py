"""The registry of rules: a digest of all that decides a claim before its evidence, and the day since when it stands."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from icl_claims.claims.claim import Claim
from icl_claims.claims.rule_source import EVERYTHING, code_of
from icl_claims.errors import ClaimError
from icl_claims.fixtures_folder import shipped_claims
from icl_claims.questions import Named, Quantity

REGISTRY = "rules.toml"
SHOWN = 12  # letters of a digest that are shown
KNOWN_NUMBERS = ("printed", "author_runs")
IN_SIGHT = "its numbers were known when the rule was written"
_HEAD = """\
# Since when the rule of each claim stands: SHA-256 of all that decides it before its evidence, and a date (UTC).
# Written by `icl-claims rules --write`, never by hand. Where a commit is named, the rule stood in it.
"""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Registered:
    """A rule as it was registered.

    Args:
        since: The day from which it stands, in UTC.
        commit: The commit of that day in which it stood already, where that is how the day is known.
    """

    digest: str
    since: date
    commit: str = ""


@dataclass(frozen=True)
class RuleTests:
    """The tests of a claim that hold its rule.

    Args:
        root: The folder from which the modules of the claims are imported.
        file: The file of the tests, from there.
        names: The tests.
        with_body: Those of them that decide by code of their own, not by a question.
    """

    root: Path
    file: str
    names: tuple[str, ...]
    with_body: tuple[str, ...]

    def read(self, file: str) -> str | None:
        """The text of a file by its path from the root; None where there is none."""
        path = self.root / file
        return path.read_text(encoding="utf-8") if path.is_file() else None


def rule_tests(claim: Claim, module: ModuleType) -> RuleTests:
    """The tests of a claim in the module that declares it.

    Of tests that are not at the head of the module, all of the module counts.
    """
    path = Path(module.__file__ or "").resolve()
    shipped = shipped_claims().resolve()  # of a wheel, lies within the package, and is none of it
    root = shipped.parent if path.is_relative_to(shipped) else path.parents[module.__name__.count(".")]
    tests = {name: test for name, test in vars(module).items() if getattr(test, "claim", None) is claim}
    with_body = tuple(name for name, test in tests.items() if test is not claim.asks)
    names = tuple(tests) or (EVERYTHING,)
    return RuleTests(root, path.relative_to(root).as_posix(), names, with_body if tests else names)


@cache
def rule_digest(claim: Claim, module: ModuleType) -> str:
    """SHA-256 of all that decides a claim before its evidence; of its statement's words nothing counts.

    That is the rule, the question that decides, and for tests with a body their code, with what they use of their
    module and of files beside it. Metrics and methods count by their names.

    Raises:
        ClaimError: The test of the claim asks no question.
    """
    tests, question = rule_tests(claim, module), next(iter(claim.questions), None)
    code = code_of(tests.with_body, tests.file, tests.read)
    decides = [claim.id, str(claim.rule), _plain(claim.rule), _plain(question), repr(code)]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def _plain(thing: Any) -> Any:
    """A rule or a question as plain data, with the names of its parts."""
    if isinstance(thing, Named) and not isinstance(thing, Quantity):
        return thing.name
    if isinstance(thing, list | tuple):
        return [_plain(one) for one in thing]
    if is_dataclass(thing):
        return [type(thing).__name__, {one.name: _plain(getattr(thing, one.name)) for one in fields(thing)}]
    return thing


def rule_record(claim: Claim, module: ModuleType, source: str, registry: Path | None) -> dict[str, str]:
    """What the record of a claim says of its rule: digest, since when it stands, and what was known by then.

    The date is empty where the rule is not the registered one.

    Raises:
        ClaimError: The registry is malformed.
    """
    digest = rule_digest(claim, module)
    known = None if registry is None else registered_rules(registry).get(claim.id)
    since = known.since.isoformat() if known is not None and known.digest == digest else ""
    return {"rule_digest": digest[:SHOWN], "rule_since": since, "rule_in_sight": in_sight(claim, source)}


def in_sight(claim: Claim, source: str) -> str:
    """What was known of the evidence when the rule was written; empty if nothing was.

    >>> from icl_claims import Paper
    >>> claim = Paper("note", "A note").claim("sum", where="table 1", on="printed trials")
    >>> @claim
    ... def test_sum(evidence, decide):
    ...     '''One and one is two.'''
    >>> [in_sight(test_sum.claim, source) for source in ("printed", "trials")]
    ['its numbers were known when the rule was written', '']
    """
    if source == "exact":
        return ""
    return claim.read_off or (IN_SIGHT if source in KNOWN_NUMBERS else "")


def nearest_file(name: str, folder: Path, root: Path) -> Path | None:
    """The file of a name in a folder or the nearest one above it, no further than the root; None if there is none."""
    for above in (folder, *folder.parents):
        if (above / name).is_file():
            return above / name
        if above == root:
            break
    return None


def registered_rules(path: Path) -> Mapping[str, Registered]:
    """The registered rules by the ids of claims; none if there is no file.

    Raises:
        ClaimError: The file is malformed.
    """
    return _registered(path, path.stat().st_mtime_ns) if path.is_file() else {}


@cache
def _registered(path: Path, changed: int) -> Mapping[str, Registered]:
    """A registry as it was at the time of a change, in nanoseconds."""
    return parsed_registry(path.read_text(encoding="utf-8"), str(path))


def parsed_registry(text: str, name: str) -> dict[str, Registered]:
    """The registered rules of the text of a registry.

    Raises:
        ClaimError: It is malformed.
    """
    try:
        found = {claim: Registered(**entry) for claim, entry in tomllib.loads(text).items()}
        if wrong := [claim for claim, one in found.items() if type(one.since) is not date]:
            raise TypeError(f"no date of {', '.join(wrong)}")
    except (tomllib.TOMLDecodeError, TypeError) as error:
        wanted, todo = "a table of digest and since for each claim", "Run icl-claims rules --write without it."
        raise ClaimError(f"{name} is malformed", expected=wanted, got=str(error), todo=todo) from error
    return found


def updated(known: Mapping[str, Registered], digests: Mapping[str, str], today: date) -> dict[str, Registered]:
    """The registry with the claims that there are: the same rule keeps its date, a changed or new one gets today's.

    >>> old = Registered("aa", date(2026, 1, 1))
    >>> new = updated({"one": old, "two": old, "gone": old}, {"one": "aa", "two": "bb"}, date(2026, 1, 2))
    >>> [(name, str(entry.since)) for name, entry in new.items()]
    [('one', '2026-01-01'), ('two', '2026-01-02')]
    """
    stands = {name for name, entry in known.items() if digests.get(name) == entry.digest}
    return {
        name: known[name] if name in stands else Registered(digest, today) for name, digest in sorted(digests.items())
    }


def registry_text(entries: Mapping[str, Registered]) -> str:
    """The registry as TOML."""
    return "\n".join((_HEAD, *(line for name, entry in entries.items() for line in _lines(name, entry))))


def _lines(name: str, entry: Registered) -> Iterable[str]:
    yield f"[{name if _BARE_KEY.fullmatch(name) else json.dumps(name)}]"
    yield f'digest = "{entry.digest}"'
    yield f"since = {entry.since.isoformat()}"
    if entry.commit:
        yield f'commit = "{entry.commit}"'
    yield ""
