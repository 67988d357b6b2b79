"""Where numbers come from: the machine, our trials and the authors' runs; and how to decide one claim again."""

import json
import os
import platform
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from icl_claims.experiments.profiles import PROFILES
from icl_claims.report import Record
from icl_claims.report.words import source_name
from icl_claims.tasks import title_of_task
from icl_claims.version import __version__

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "pandas", "pytest", "hypothesis")


def run_facts(
    options: dict[str, Any], *, seconds: float, root: Path, name: str = "", interrupted: bool = False
) -> dict[str, Any]:
    """Everything that a reader needs to run the same again.

    Args:
        options: What was chosen on the command line.
        seconds: Duration of the run.
        root: The project's folder, whose commit is named.
        name: Name that the reader gave the run.
        interrupted: Whether some of its claims were not reached.
    """
    return {
        "name": name,
        "interrupted": interrupted,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "options": options,
        "icl_claims": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "libraries": libraries(),
        "commit": _commit(root),
    }


def libraries() -> dict[str, str]:
    """The versions of the libraries whose versions may change a number."""
    return {name: found for name in LIBRARIES if (found := _version(name))}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _commit(root: Path) -> str:
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


_Line = Mapping[str, Any]

TRIALS = "trials"
# What differs between two runs of the same trials, or is too long to read.
NOT_SHOWN = ("finished", "seconds", "demonstration_rows")
_ALWAYS = ("task", "seed", "permutation", "queries", "run")


@dataclass(frozen=True, eq=False)
class Listing:
    """A list, of trials or of the authors' runs, that several claims were decided on.

    Args:
        anchor: Its place in the page's address.
        kind: What it lists: `trials` or `runs`.
        title: Whose it is.
        facts: What is true of all of it.
        lines: One for each trial or run.
    """

    anchor: str
    kind: str
    title: str
    facts: dict[str, Any]
    lines: tuple[_Line, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The facts that differ between its lines, or are worth a column."""
        names = dict.fromkeys(name for line in self.lines for name in line if name not in NOT_SHOWN)
        return tuple(name for name in names if name in _ALWAYS or self._differs(name))

    @property
    def shared(self) -> dict[str, Any]:
        """The facts that all of its lines have in common."""
        first = self.lines[0]
        return {name: first[name] for name in first if name not in (*NOT_SHOWN, *self.columns) and first[name] != []}

    def tasks(self) -> list[str]:
        """Each task of trials in words: queries, demonstrations, seeds."""
        by_task: dict[str, list[_Line]] = {}
        for line in self.lines:
            by_task.setdefault(str(line.get("task", "")), []).append(line)
        return [_task_in_words(task, lines) for task, lines in by_task.items()]

    def _differs(self, name: str) -> bool:
        return len({str(line.get(name)) for line in self.lines}) > 1


def listings_of(claims: Sequence[Record]) -> dict[str, Listing]:
    """The different lists behind the claims of a run, by the text that `keys_of_listings` gives."""
    found: dict[str, Listing] = {}
    for claim in claims:
        for kind, key in keys_of_listings(claim):
            if key not in found:
                facts = {name: value for name, value in claim["provenance"].items() if not _is_list(value) and value}
                title = source_name(claim["source"], claim["profile"])
                lines = tuple(claim["provenance"][kind])
                found[key] = Listing(f"page-{kind}-{len(found) + 1}", kind, title, facts, lines)
    return found


def keys_of_listings(claim: Record) -> Iterator[tuple[str, str]]:
    """The kind of each list behind a record, and a key that differs from that of every other list."""
    for kind, lines in claim["provenance"].items():
        if _is_list(lines):
            shown = [{name: line[name] for name in line if name not in NOT_SHOWN} for line in lines]
            yield kind, json.dumps({**claim["provenance"], kind: shown}, sort_keys=True, default=str)


def other_facts(claim: Record) -> dict[str, str]:
    """Where a record's numbers come from, its lists apart."""
    return {name: in_words(value) for name, value in claim["provenance"].items() if value and not _is_list(value)}


def in_words(value: object) -> str:
    """A fact as text: lists with commas, mappings as `name value`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(in_words, value))
    return str(value)


def command_of(claim: Record, options: Mapping[str, Any]) -> str:
    """The shell command that decides just this claim again, on the same evidence."""
    words = ["pytest", claim["test"]]
    if claim["source"] == TRIALS:
        if claim["asks"] is not None:
            options = {**{name: value for name, value in options.items() if name != "studies"}, **_studies(claim)}
        if claim["profile"] == "paper":
            options = {"model": "fairseq:DIR", "data": "DIR", **options}
        chosen = {**options, "profile": claim["profile"]} if claim["profile"] != "paper" else dict(options)
        named = {name: value for name, value in chosen.items() if (name, value) != ("profile", "embedded")}
        words += [word for name, value in named.items() for word in (f"--claims-{name.replace('_', '-')}", str(value))]
    return shlex.join(words)


def _studies(claim: Record) -> dict[str, str]:
    """The studies that a claim asks for and its profile does not run by itself, as an option."""
    profile = PROFILES.get(claim["profile"])
    known = () if profile is None else profile.studies
    asked = [study for study in claim["asks"]["studies"] if study not in ("main", *known)]
    return {"studies": ",".join(asked)} if asked else {}


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(line, Mapping) for line in value)


def _task_in_words(task: str, trials: Sequence[_Line]) -> str:
    first = trials[0]
    seeds = list(dict.fromkeys(str(trial.get("seed")) for trial in trials))
    shown = first.get("demonstrations_in_context", first.get("k"))
    demonstrations = f"{shown} of {first.get('k')} demonstrations"
    plural = "s" if len(seeds) > 1 else ""
    return f"{title_of_task(task)} ({first.get('queries')} queries, {demonstrations}, seed{plural} {', '.join(seeds)})"
