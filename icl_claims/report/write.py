"""Write claims.json and claims.html, each complete or not at all, and the pictures where they are asked for.

The figures of a page are cached, for drawing takes most of a report's time.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl

from icl_claims.errors import ReportError, StoreError
from icl_claims.report.document import Document, check_document, document_text
from icl_claims.report.drawing import CachedFigure, Picture
from icl_claims.report.figures import draw_pictures
from icl_claims.report.page import render_page
from icl_claims.storage import checksummed, files, source_code

_Draw = Callable[[Mapping[str, Any], str], Iterable[Picture | CachedFigure]]
"""Gives figures from the numbers of a profile, and its name."""


def write_report(
    folder: Path, document: Document, *, figures: Path | None = None, draw: _Draw = draw_pictures
) -> tuple[Path, Path]:
    """Write both forms of the report into a folder, and every picture as SVG and PDF into that of figures, if named.

    The folders are made; `draw` gives the figures of the page.

    Returns:
        The paths of claims.html and claims.json.

    Raises:
        ReportError: The document is malformed, or a file cannot be written.
    """
    check_document(document, "The run")
    shown = {profile: list(draw(numbers, profile)) for profile, numbers in document["pictures"].items()}
    page, data = folder / "claims.html", folder / "claims.json"
    write_whole(data, document_text(document))
    write_whole(page, render_page(document, shown))
    if figures is not None:
        drawn = [draw_pictures(numbers, profile) for profile, numbers in document["pictures"].items()]
        save_pictures([picture for pictures in drawn for picture in pictures], figures)
    return page, data


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there complete or not at all; its folder is made.

    Raises:
        ReportError: It cannot be written.
    """
    try:
        files.write_atomically(path, text)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error}", todo="Name another file or folder.") from error


def save_pictures(pictures: Iterable[Picture], folder: Path) -> None:
    """Save pictures as SVG and PDF into a folder, which is made.

    Raises:
        ReportError: The folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            picture.save(folder)
    except OSError as error:
        raise ReportError(f"The pictures cannot be saved: {error}", todo="Name another folder for them.") from error


def default_figures() -> Path:
    """The folder of figures in the cache: a folder for each state of the code that drew some."""
    return files.cache_folder() / "figures"


def outdated_figures() -> list[Path]:
    """The folders of figures that other code drew."""
    return [folder for folder in sorted(default_figures().glob("*")) if folder.name != _code()]


def figures_of_page(numbers: Mapping[str, Any], profile: str) -> list[CachedFigure]:
    """What `draw_pictures` draws of the numbers of a profile, as a page shows it; drawn only if it is not cached."""
    key = hashlib.sha256(json.dumps([profile, numbers], sort_keys=True).encode()).hexdigest()
    folder = default_figures() / _code() / key
    with suppress(StoreError):
        return [CachedFigure(**figure) for figure in checksummed.read_manifest(folder, key).facts["figures"]]
    drawn = [CachedFigure(one.title, one.caption, str(one.inline())) for one in draw_pictures(numbers, profile)]
    with suppress(OSError):
        shutil.rmtree(folder, ignore_errors=True)  # what is damaged
        checksummed.write_checksummed(folder, key, {"figures": [asdict(figure) for figure in drawn]}, {})
    return drawn


@cache
def _code() -> str:
    """SHA-256 of what draws: the report's code, and matplotlib's version."""
    report = Path(__file__).parent
    return hashlib.sha256(
        f"{mpl.__version__} {source_code.source_digest(report.rglob('*.py'), report)}".encode()
    ).hexdigest()
