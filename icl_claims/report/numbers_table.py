"""All numbers of a run as one tidy table: a row for every task of every comparison that a claim was asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from icl_claims.claims import EVERY_TASK
from icl_claims.errors import UsageError
from icl_claims.report import Record
from icl_claims.report.document import Document

_OF_CLAIM = ("id", "paper", "where", "source", "profile", "condition", "verdict")
_NUMBERS = ("left", "right", "difference", "low", "high", "p_holds", "p_fails", "null_low", "null_high", "printed")
_COUNTS = ("replicates", "queries", "needed")


def numbers_table(document: Document) -> pd.DataFrame:
    """The numbers of a document, each claim's in the papers' order.

    Returns:
        A row for each task of the comparison that decided a claim (`decides`), and of those beside it. `left` and
        `right` are what was compared, `difference` is between them with its interval from `low` to `high`; `replicates`
        are draws and `needed` how many would decide. The row of the task `all tasks` is the difference over all of
        them. Empty cells are what was not measured.
    """
    return pd.DataFrame(
        [row for claim in document["claims"] for row in _rows(document["run"], claim)],
        columns=[
            "finished",
            *_OF_CLAIM,
            "model",
            "data",
            "question",
            "decides",
            "task",
            "outcome",
            *_NUMBERS,
            *_COUNTS,
        ],
    )


def _rows(run: Record, claim: Record) -> Iterator[dict[str, Any]]:
    known = {"finished": run["finished"]} | {name: claim[name] for name in _OF_CLAIM}
    known |= {name: str(claim["provenance"].get(name) or "") for name in ("model", "data")}
    asked = _question(claim["quantity"])
    beside = ((other["name"], False, other["tasks"]) for other in claim["beside"])
    for question, decides, tasks in ((asked, True, claim["tasks"]), *beside):
        for found in tasks:
            measured = {name: found.get(name) for name in ("task", "outcome", *_NUMBERS, *_COUNTS)}
            yield {**known, "question": question, "decides": decides, **measured}
    if effect := claim["effect"]:
        over_all = {"difference": effect["estimate"], "low": effect["low"], "high": effect["high"]}
        yield {**known, "question": asked, "decides": True, "task": EVERY_TASK, "outcome": "", **over_all}


def _question(quantity: Record | None) -> str:
    if quantity is None:
        return ""
    return f"{quantity['left']['title']} {quantity.get('direction', 'against')} {quantity['right']['title']}"


def as_csv(document: Document) -> str:
    """The table as CSV; a text that a spreadsheet would take for a formula is quoted by an apostrophe."""
    table = numbers_table(document)
    texts = table.select_dtypes(["object", "string"]).columns
    return table.assign(**{name: table[name].map(_no_formula) for name in texts}).to_csv(
        index=False, lineterminator="\n"
    )


def as_parquet(document: Document) -> bytes:
    """The table as Parquet.

    Raises:
        UsageError: The library pyarrow is not installed.
    """
    try:
        written: bytes = numbers_table(document).to_parquet(index=False)
    except ImportError as error:
        todo = "pip install 'icl-claims[hub]', which brings it, or take ⟨to⟩ csv."
        raise UsageError("Parquet needs the library pyarrow", got=str(error).splitlines()[0], todo=todo) from error
    return written


def _no_formula(text: Any) -> Any:
    return f"'{text}" if isinstance(text, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
