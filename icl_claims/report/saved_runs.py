"""Saved runs: every run's document as reports/runs/NNNN_name.json, and how a reader names one."""

from __future__ import annotations

import re
from pathlib import Path

from icl_claims.errors import ReportError
from icl_claims.report.document import Document, document_text

_SAVED = re.compile(r"([0-9]{4,})_(.+)\.json")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
LONGEST_NAME = 80


def save_run(document: Document, folder: Path) -> Path:
    """Save a document under the next free number and its run's name.

    Args:
        document: Document of a run.
        folder: Folder of the saved runs, which is made.

    Raises:
        ReportError: the folder cannot be written to.
    """
    text = document_text(document)
    name = _NOT_IN_NAMES.sub("-", document["run"]["name"]).strip("-.")[:LONGEST_NAME] or "run"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = max((number for number, _ in _saved(folder)), default=0)
        while True:
            number += 1
            if not any(folder.glob(f"{number:04}_*.json")):
                path = folder / f"{number:04}_{name}.json"
                with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(text)
                return path
    except FileExistsError:
        return save_run(document, folder)
    except OSError as error:
        todo = "Name another report folder."
        raise ReportError(f"The run cannot be saved in {folder}: {error}", todo=todo) from error


def find_run(reference: str, folder: Path) -> Path:
    """The file of a run that a reader named: a path, the number of a saved run, or its name (the newest of it).

    Args:
        reference: What was named; `last` is the newest saved run.
        folder: Folder of the saved runs.

    Raises:
        ReportError: there is no such run.
    """
    if Path(reference).is_file():
        return Path(reference)
    saved = _saved(folder)
    for number, path in reversed(saved):
        found = _SAVED.fullmatch(path.name)
        if reference == "last" or (reference.isdecimal() and int(reference) == number):
            return path
        if found is not None and reference in (found[2], path.stem, path.name):
            return path
    known = ", ".join(path.stem for _, path in saved[-8:]) or "none"
    raise ReportError(
        f"No run {reference!r}",
        expected=f"a file, `last`, or the number or the name of a run in {folder}",
        got=f"{reference!r}; the newest saved runs: {known}",
    )


def _saved(folder: Path) -> list[tuple[int, Path]]:
    """Saved runs by number."""
    found = ((_SAVED.fullmatch(path.name), path) for path in folder.glob("*.json"))
    return sorted((int(match[1]), path) for match, path in found if match is not None)
