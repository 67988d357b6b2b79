"""The document of a run, claims.json: made, checked against its schema, saved, found and read back from any version."""

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from math import isfinite
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

from icl_claims.errors import ReportError
from icl_claims.report.ledger import place_in_papers
from icl_claims.report.verdicts import ON_PRINTED
from icl_claims.version import __version__

SCHEMA_VERSION = 6
READABLE = (1, 2, 3, 4, 5, SCHEMA_VERSION)
OF_THE_RULE = 4
"""The version from which words of printed tables are their own, and p values those of the rule."""
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "pandas", "pytest", "hypothesis")

Document = dict[str, Any]
"""A document as plain data; `claims.schema.json` says what is in it."""

_FINDING: dict[str, Any] = {
    **dict.fromkeys(("needed", "detectable", "printed", "null_low", "null_high", "p_holds", "p_fails")),
    "replicates": 0,
}
_RECORD: dict[str, Any] = {
    "profile": "",
    "paper_title": "",
    "plain_numbers": "",
    "asks": None,
    "about": "",
    "condition": "",
    "known_refutation": "",
    "quantity": None,
    "effect": None,
    "p": None,
    "decided_by": "",
    "beside": [],
    "nulls": [],
    "replication": None,
    "specifications": None,
    "looks": [],
    "outlook": None,
    "would_change": "",
    "rule_digest": "",
    "rule_since": "",
    "rule_in_sight": "",
}
_VALIDATOR = Draft202012Validator(json.loads(Path(__file__).with_name("claims.schema.json").read_text("utf-8")))
_SAVED = re.compile(r"([0-9]{4,})_.+\.json")
_LONGEST_NAME = 80


def run_facts(
    options: dict[str, Any],
    *,
    seconds: float,
    root: Path,
    name: str,
    interrupted: bool = False,
    going_on: bool = False,
    spent: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Everything that a reader needs to run the same again: the chosen options, and the commit of the project's root.

    Args:
        options: Those that were named.
        seconds: How long it took.
        root: Folder of the project.
        name: Of the run.
        interrupted: Whether it did not reach some of its claims.
        going_on: Whether it is not over.
        spent: What its trials cost, by profile and task.
    """
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        commit = subprocess.run(describe, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = ""
    return {
        "name": name,
        "interrupted": interrupted,
        "going_on": going_on,
        "spent": list(spent),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "options": options,
        "icl_claims": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "libraries": libraries(),
        "commit": commit,
    }


def libraries(names: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """The versions of libraries, by default of all that may change a number; without those that do not tell theirs."""
    found = {}
    for name in names:
        with suppress(metadata.PackageNotFoundError):  # a run is not lost because of it
            found[name] = metadata.version(name)
    return found


def make_document(
    run: Mapping[str, Any],
    claims: Iterable[Mapping[str, Any]],
    *,
    pictures: Mapping[str, Any] | None = None,
    coverage: Iterable[Mapping[str, Any]] = (),
) -> Document:
    """A document of the present version, its claims in the papers' order.

    A number that is not finite becomes null, and half a character its escape; what a record leaves out, its default.

    Args:
        run: Facts of the run, from `run_facts`.
        claims: One record for each claim, source and condition.
        pictures: By profile, the numbers behind the papers' figures and tables, from `figure_data`.
        coverage: What the papers contain, and which claims cover it, from `coverage_of_papers`.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "run": _writable({"name": "", "interrupted": False, "going_on": False, "spent": [], **run}),
        "claims": sorted((_complete(_writable(claim)) for claim in claims), key=place_in_papers),
        "pictures": _writable(pictures or {}),
        "coverage": [_writable(entry) for entry in coverage],
    }


def check_document(document: Document, name: str) -> Document:
    """The document itself, if the schema allows it.

    Raises:
        ReportError: The schema does not allow it; the first place is named.
    """
    problem = next(_VALIDATOR.iter_errors(document), None)
    if problem is not None:
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem.instance_path)
        wanted = f"what claims.schema.json, version {SCHEMA_VERSION}, says"
        raise ReportError(f"{name} is not a document of claims at ${place}", expected=wanted, got=problem.message[:300])
    return document


def read_document(path: Path) -> Document:
    """Read a claims.json or a saved run, of this or an older version, as one of the present version.

    Raises:
        ReportError: There is none, it is no JSON, of an unknown version, or malformed.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"{path} cannot be read: {error}", expected="a claims.json or a saved run") from error
    if not isinstance(found, dict) or "schema_version" not in found:
        todo = "Name a run, or run pytest claims/ first."
        raise ReportError(f"{path}", expected="a claims.json or a saved run", got="other JSON", todo=todo)
    version = found["schema_version"]
    if version not in READABLE:
        wanted, todo = " or ".join(map(str, READABLE)), "Read it with the version of icl_claims that wrote it."
        raise ReportError(f"{path} has an unknown version", expected=wanted, got=repr(version), todo=todo)
    try:
        if not isinstance(found["claims"], list):
            raise TypeError("its claims are no list")
        others = {"pictures": found.get("pictures"), "coverage": found.get("coverage", ())}
        claims = found["claims"] if version >= OF_THE_RULE else map(_as_now, found["claims"])
        document = make_document(found["run"], claims, **others)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        todo = "It was changed or cut: name another run, or run pytest claims/ again."
        raise ReportError(f"{path} is no document of claims", got=repr(error), todo=todo) from error
    return check_document(document, str(path))


def document_text(document: Document) -> str:
    """The document as JSON, with a line for every claim and every part of a paper."""
    parts = (f"{json.dumps(name)}: {_by_line(part)}" for name, part in document.items())
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _by_line(part: Any) -> str:
    def text(data: Any) -> str:
        return json.dumps(data, ensure_ascii=False, allow_nan=False)

    return "[\n" + ",\n".join(map(text, part)) + "\n]" if isinstance(part, list) and part else text(part)


def _complete(claim: Mapping[str, Any]) -> dict[str, Any]:
    beside = [{**entry, "tasks": _findings(entry["tasks"])} for entry in claim.get("beside", ())]
    known = {"tasks": _findings(claim["tasks"]), "beside": beside, "quantity": _quantity(claim.get("quantity"))}
    known["effect"] = claim.get("effect") and {"kind": "", **claim["effect"]}
    return {**_RECORD, **claim, **known}


def _as_now(claim: Mapping[str, Any]) -> dict[str, Any]:
    """A record as of version 4: printed tables have words of their own, and p values are of the rule, not of tests."""
    words = ON_PRINTED if claim["source"] == "printed" else {}
    return {**claim, "verdict": words.get(claim["verdict"], claim["verdict"]), "p": None}


def _quantity(compared: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What is compared; before version 3 a side was its title alone."""
    if compared is None:
        return None
    titles = {side: compared[side] for side in ("left", "right") if isinstance(compared[side], str)}
    return {**compared, **{side: {"title": title, "metric": "", "of": ""} for side, title in titles.items()}}


def _writable(data: Any) -> Any:
    """The same data without what JSON and UTF-8 have no form for: numbers that are not finite, halves of characters."""
    if isinstance(data, float):
        return float(data) if isfinite(data) else None  # numpy's float64 is a float, too, but JSON knows none
    if isinstance(data, str):
        return data if data.isascii() else data.encode(errors="backslashreplace").decode()
    if isinstance(data, list | tuple):
        return [_writable(value) for value in data]
    if data is None or isinstance(data, int) or not isinstance(data, Mapping):
        return data
    return {_writable(name): _writable(value) for name, value in data.items()}


def _findings(tasks: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**_FINDING, **finding} for finding in tasks]


def save_run(document: Document, folder: Path) -> Path:
    """Save a document under the next free number and its run's name, in a folder that is made.

    Raises:
        ReportError: The folder cannot be written to.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", document["run"]["name"]).strip("-.")[:_LONGEST_NAME] or "run"
    text = document_text(document)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        newest = max((number for number, _ in _saved(folder)), default=0)
        path = folder / f"{newest + 1:04}_{name}.json"
        with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        return path
    except FileExistsError:
        return save_run(document, folder)
    except OSError as error:
        todo = "Name another report folder."
        raise ReportError(f"The run cannot be saved in {folder}: {error}", todo=todo) from error


def find_run(reference: str, folder: Path) -> Path:
    """The file of a run that was named: a path, or `last`, the number or the name (the newest of it) of a saved run.

    Raises:
        ReportError: There is no such run.
    """
    if Path(reference).is_file():
        return Path(reference)
    saved = _saved(folder)
    for number, path in reversed(saved):
        of_number = reference.isdecimal() and int(reference) == number
        if of_number or reference in ("last", path.stem.partition("_")[2], path.stem, path.name):
            return path
    wanted = f"a file, `last`, or the number or the name of a run in {folder}"
    got = f"{reference!r}; the newest saved runs: {', '.join(path.stem for _, path in saved[-8:]) or 'none'}"
    raise ReportError(f"No run {reference!r}", expected=wanted, got=got)


def _saved(folder: Path) -> list[tuple[int, Path]]:
    """Saved runs by number."""
    found = ((_SAVED.fullmatch(path.name), path) for path in folder.glob("*.json"))
    return sorted((int(match[1]), path) for match, path in found if match is not None)
