"""Give a run in another form: CTRF, EARL, the page, or its pictures as files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from icl_claims.errors import UsageError
from icl_claims.report.ctrf import as_ctrf
from icl_claims.report.document import Document, document_text, read_document
from icl_claims.report.earl import as_earl
from icl_claims.report.figures import Picture, draw_pictures
from icl_claims.report.page import render_page
from icl_claims.report.saved_runs import find_run
from icl_claims.report.write import save_pictures, write_whole

Form = TypeVar("Form")


def export_run(run: str, *, to: str, output: Path | None, figures: Path | None, runs: Path) -> None:
    """Write a run in another form, and its pictures where they are asked for.

    Args:
        run: a file, or the number or name of a saved run.
        to: the form, one of `FORMS`.
        output: a file to write; printed where neither it nor `figures` is given.
        figures: a folder for the pictures, as SVG and PDF.
        runs: the folder of the saved runs.

    Raises:
        UsageError: an unknown form.
        ReportError: a run that is not there or cannot be read, or a file that cannot be written.
    """
    write = form_of(to, FORMS)
    document = read_document(find_run(run, runs))
    if figures is not None:
        save_pictures([picture for drawn in _drawn(document).values() for picture in drawn], figures)
    if output is not None:
        write_whole(output, write(document))
    elif figures is None:
        sys.stdout.write(write(document))


def form_of(name: str, forms: Mapping[str, Form]) -> Form:
    """The form of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in forms:
        raise UsageError("--to", expected=f"one of {', '.join(forms)}", got=repr(name))
    return forms[name]


def _drawn(document: Document) -> dict[str, list[Picture]]:
    return {profile: list(draw_pictures(numbers, profile)) for profile, numbers in document["pictures"].items()}


def _as_json(plain: Callable[[Document], dict[str, Any]]) -> Callable[[Document], str]:
    return lambda document: json.dumps(plain(document), indent=1, ensure_ascii=False) + "\n"


FORMS: dict[str, Callable[[Document], str]] = {
    "ctrf": _as_json(as_ctrf),
    "earl": _as_json(as_earl),
    "json": document_text,
    "html": lambda document: render_page(document, _drawn(document)),
}
