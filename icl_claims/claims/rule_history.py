"""Since when rules stand, by git: the first dates of a registry, and whether its dates can be true."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from icl_claims.claims.registry import Registered, RuleTests, parsed_registry
from icl_claims.claims.rule_source import code_of

UTC_DATES = {"TZ": "UTC"}


class Commit(NamedTuple):
    """A commit and its day, in UTC."""

    id: str
    day: date


class History:
    """The history of the repository in which a folder lies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._texts: dict[str, str] = {}
        self._trees: dict[str, dict[str, str]] = {}

    def __bool__(self) -> bool:
        """Whether there is one, from its first commit on."""
        return self._git("rev-parse", "--is-shallow-repository", "--verify", "HEAD").startswith("false\n")

    @cached_property
    def top(self) -> Path:
        """The top folder of the repository."""
        return Path(self._git("rev-parse", "--show-toplevel").strip()).resolve()

    def commits(self, *paths: Path, first_parent: bool = False) -> list[Commit]:
        """The commits that changed a file or something in a folder, or all, the newest first."""
        options = ("--format=%H %cd", "--date=short-local", *["--first-parent"] * first_parent)
        told = self._git("log", *options, "HEAD", "--", *(str(path.resolve()) for path in paths))
        return [Commit(line[:-11], date.fromisoformat(line[-10:])) for line in told.splitlines()]

    def text(self, commit: str, path: Path) -> str | None:
        """The text of a file in a commit; None where there is none."""
        if commit not in self._trees:
            listed = self._git("ls-tree", "-r", "-z", "--full-tree", commit).split("\0")
            self._trees[commit] = {
                name: facts.split()[2] for facts, _, name in (one.partition("\t") for one in listed[:-1])
            }
        blob = self._trees[commit].get(path.relative_to(self.top).as_posix())
        if blob is not None and blob not in self._texts:
            self._texts[blob] = self._git("cat-file", "blob", blob)
        return None if blob is None else self._texts[blob]

    @cached_property
    def days(self) -> dict[str, date]:
        """The day of each commit that led here, the newest first."""
        return dict(self.commits())

    def _git(self, *arguments: str) -> str:
        """What git prints; empty where it fails or is missing."""
        command = ["git", "-C", str(self._folder), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, **UTC_DATES})
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout.decode(errors="replace")


def standing_since(folder: Path, tests: Mapping[str, RuleTests]) -> dict[str, Commit]:
    """By claim, the oldest commit since which its tests, and what they use, have read as they do now.

    Words do not count, such as comments and statements. A test that was moved or renamed stands since then, and
    secondary questions count, so that a day is rather too late than too early. What the package makes of a rule is not
    looked at. A claim that the newest commit does not have as it is now is left out.
    """
    history = History(folder)
    commits = history.commits(folder, first_parent=True)
    found = {}
    for claim, of in tests.items():
        for commit in commits:
            if _declared(of, history, commit.id) != _declared(of):
                break
            found[claim] = commit
    return found


def _declared(tests: RuleTests, history: History | None = None, commit: str = "") -> Any:
    """The tests of a claim with their rule, in the working tree or in a commit."""

    def read(file: str) -> str | None:
        return tests.read(file) if history is None else history.text(commit, tests.root / file)

    try:
        return code_of(tests.names, tests.file, read, declared=True)
    except SyntaxError:
        return None


def unproven_dates(registry: Path) -> list[str]:
    """The entries of a registry whose date is earlier than git can show, each with what is wrong.

    A rule cannot stand longer than its digest is in the registry, or else than the commit that the entry names. There
    has to be a history.
    """
    history = History(registry.parent)
    introduced: dict[tuple[str, str], date] = {}
    for commit in reversed(history.commits(registry)):
        text = history.text(commit.id, registry.resolve())
        for claim, entry in parsed_registry(text or "", f"{registry} in {commit.id}").items():
            introduced.setdefault((claim, entry.digest), commit.day)
    newest = next(iter(history.days.values()))
    entries = parsed_registry(registry.read_text(encoding="utf-8"), str(registry))
    problems = (
        _problem(claim, entry, introduced.get((claim, entry.digest), newest), history)
        for claim, entry in entries.items()
    )
    return [problem for problem in problems if problem]


def _problem(claim: str, entry: Registered, introduced: date, history: History) -> str:
    if not entry.commit:
        return f"{claim}: {entry.since} is before {introduced}" if entry.since < introduced else ""
    day = history.days.get(entry.commit)
    if day is None:
        return f"{claim}: no commit {entry.commit}"
    return f"{claim}: {entry.since} is before {day}, the day of {entry.commit}" if entry.since < day else ""
