"""Give a run in another form, with its pictures as files, and say what changed between two."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from icl_claims.errors import UsageError
from icl_claims.report import badge, compare, exports, markdown, numbers_table, page, write
from icl_claims.report.document import Document, document_text, find_run, read_document
from icl_claims.report.page_figures import figures_of_run

Form = TypeVar("Form")


def export_run(
    run: str, *, to: str, output: Path | None, figures: Path | None, runs: Path, claim: str | None = None
) -> None:
    """Write a run in another form, and its pictures where they are asked for; print it if no place is named.

    Raises:
        UsageError: The form is unknown, needs a place, or is not one of a single claim.
        ReportError: A run is not there or cannot be read, has no such claim, or a file cannot be written.
    """
    form = _form_of(to, _RUN_FORMS)
    if claim is not None and to != BADGE:
        raise UsageError("Only a badge is of a single ⟨claim⟩", expected=f"⟨to⟩ {BADGE}", got=to)
    if to == BINARY and output is None and figures is None:
        raise UsageError("Parquet is no text that could be printed", todo="Name a file: ⟨output⟩ claims.parquet.")
    document = read_document(find_run(run, runs))
    if figures is not None:
        write.save_pictures(document, figures)
    if output is not None or figures is None:
        _leave(form(document) if claim is None else badge.badge_of_claim(document, claim), output)


def compare_and_print(old: str, new: str, *, to: str, output: Path | None, runs: Path) -> bool:
    """Compare two runs, print or write what changed, and say whether a verdict did.

    Raises:
        UsageError: The form is unknown.
        ReportError: A run is not there or cannot be read.
    """
    form = _form_of(
        to, {"text": compare.comparison_text, "json": compare.comparison_json, "html": compare.comparison_page}
    )
    comparison = compare.compare_runs(*(read_document(find_run(name, runs)) for name in (old, new)))
    _leave(form(comparison), output)
    return comparison.verdict_changed


def _form_of(name: str, forms: Mapping[str, Form]) -> Form:
    if name not in forms:
        raise UsageError("⟨to⟩ has no such value", expected=f"one of {', '.join(forms)}", got=repr(name))
    return forms[name]


def _leave(content: str | bytes, output: Path | None) -> None:
    if output is not None:
        write.write_whole(output, content)
    elif isinstance(content, str):
        sys.stdout.write(content)


def _as_json(plain: Callable[[Document], dict[str, Any]]) -> Callable[[Document], str]:
    return lambda document: json.dumps(plain(document), indent=1, ensure_ascii=False) + "\n"


BINARY, BADGE = "parquet", "badge"
_RUN_FORMS: dict[str, Callable[[Document], str | bytes]] = {
    "csv": numbers_table.as_csv,
    BINARY: numbers_table.as_parquet,
    "markdown": markdown.as_markdown,
    BADGE: badge.badge_of_run,
    "ctrf": _as_json(exports.as_ctrf),
    "earl": _as_json(exports.as_earl),
    "json": document_text,
    "html": lambda document: page.render_page(document, figures_of_run(document)),
}
