"""Write claims.json and claims.html, each complete or not at all, and the pictures where they are asked for."""

from pathlib import Path

from icl_claims.errors import ReportError
from icl_claims.report.document import Document, check_document, document_text
from icl_claims.report.page import render_page
from icl_claims.report.page_figures import figures_of_run
from icl_claims.storage import files


def write_report(folder: Path, document: Document, *, figures: Path | None = None) -> tuple[Path, Path]:
    """Write both forms of the report into a folder, and every picture as SVG and PDF into that of figures, if named.

    The folders are made.

    Returns:
        The paths of claims.html and claims.json.

    Raises:
        ReportError: The document is malformed, or a file cannot be written.
    """
    check_document(document, "The run")
    page, data = folder / "claims.html", folder / "claims.json"
    write_whole(data, document_text(document))
    write_whole(page, render_page(document, figures_of_run(document)))
    if figures is not None:
        save_pictures(document, figures)
    return page, data


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there complete or not at all; its folder is made.

    Raises:
        ReportError: It cannot be written.
    """
    try:
        files.write_atomically(path, content)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error}", todo="Name another file or folder.") from error


def save_pictures(document: Document, folder: Path) -> None:
    """Save every picture of a document as SVG and PDF into a folder, which is made.

    Raises:
        ReportError: The folder cannot be written to.
    """
    from icl_claims.report.figures import draw_pictures

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for profile, numbers in document["pictures"].items():
            for picture in draw_pictures(numbers, profile):
                picture.save(folder)
    except OSError as error:
        raise ReportError(f"The pictures cannot be saved: {error}", todo="Name another folder for them.") from error
