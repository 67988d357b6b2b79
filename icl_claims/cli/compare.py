"""Say what changed between two runs."""

from __future__ import annotations

import sys
from pathlib import Path

from icl_claims.cli.export import form_of
from icl_claims.report.compare import compare_runs
from icl_claims.report.comparison_forms import comparison_json, comparison_page, comparison_text
from icl_claims.report.document import read_document
from icl_claims.report.saved_runs import find_run
from icl_claims.report.write import write_whole

FORMS = {"text": comparison_text, "json": comparison_json, "html": comparison_page}


def compare_and_print(old: str, new: str, *, to: str, output: Path | None, runs: Path) -> bool:
    """Compare two runs, and print or write what changed.

    Args:
        old: the run before: a file, or the number or name of a saved run.
        new: the run after.
        to: the form, one of `FORMS`.
        output: a file to write; printed where there is none.
        runs: the folder of the saved runs.

    Returns:
        Whether a verdict changed.

    Raises:
        UsageError: an unknown form.
        ReportError: a run that is not there or cannot be read.
    """
    write = form_of(to, FORMS)
    comparison = compare_runs(*(read_document(find_run(name, runs)) for name in (old, new)))
    text = write(comparison)
    if output is None:
        sys.stdout.write(text)
    else:
        write_whole(output, text)
    return comparison.verdict_changed
