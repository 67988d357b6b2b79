"""Write claims.json and claims.html, each complete or not at all, and the pictures where they are asked for."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from icl_claims.errors import ReportError
from icl_claims.report.document import Document, check_document, document_text
from icl_claims.report.figure_cache import CachedFigure
from icl_claims.report.figures import Picture, draw_pictures, save_picture
from icl_claims.report.page import render_page
from icl_claims.storage.files import write_atomically

_Draw = Callable[[Mapping[str, Any], str], Iterable[Picture | CachedFigure]]
"""Gives figures from the numbers of a profile, and its name."""


def write_report(
    folder: Path, document: Document, *, figures: Path | None = None, draw: _Draw = draw_pictures
) -> tuple[Path, Path]:
    """Write both forms of the report into a folder, which is made.

    Args:
        folder: Folder of the report.
        document: Document of a run, from `make_document`.
        figures: Folder for every picture as SVG and PDF, which is made too.
        draw: Gives the figures of the page.

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
        drawn = (draw_pictures(numbers, profile) for profile, numbers in document["pictures"].items())
        save_pictures([picture for pictures in drawn for picture in pictures], figures)
    return page, data


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there complete or not at all; its folder is made.

    Raises:
        ReportError: It cannot be written.
    """
    try:
        write_atomically(path, text)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error}", todo="Name another file or folder.") from error


def save_pictures(pictures: list[Picture], folder: Path) -> list[Path]:
    """Save pictures as SVG and PDF into a folder, which is made.

    Raises:
        ReportError: The folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [path for picture in pictures for path in save_picture(picture, folder)]
    except OSError as error:
        raise ReportError(f"The pictures cannot be saved: {error}", todo="Name another folder for them.") from error
