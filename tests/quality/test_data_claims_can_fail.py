"""Negative controls of the claims that tables and logs decide: with broken numbers they say something else.

The numbers are broken in the table itself. Where a claim holds, or cannot be told, what it compares is exchanged: two
methods take each other's name, or two bands of layers their numbers, and a number held against a limit goes to its
other side. Where it is refuted, the side that should be larger is made larger.
"""

from __future__ import annotations

import pandas as pd
import pytest

from icl_claims.evidence import author_runs, printed
from icl_claims.evidence.asking import TaskEvidence
from icl_claims.evidence.author_runs import LAYERS
from icl_claims.questions import WHOLE_DEPTH, Compared, Near, Quantity
from tests.quality.data_claims import data_claims

OF_FIGURES_THAT_FIT = {
    *("avg-t2", "avg-t4", "tables-agree", "percentages-are-counts", "icl-ft-acc-gap-19"),
    "rec2ftp-def",
}
"""Claims that compare nothing; their controls are in `test_table_controls.py`."""
COMPARING = [claim for claim in data_claims("printed", "author_runs") if claim.claim.id not in OF_FIGURES_THAT_FIT]
WITHOUT_SIDES = {"clip-task-dependent"}
"""Claims that say the same whichever of two methods is called which."""
TABLES = {"printed": (printed, "printed_tables"), "author_runs": (author_runs, "author_runs")}


@pytest.mark.parametrize("claim", COMPARING, ids=str)
def test_a_claim_says_something_else_when_its_numbers_are_broken(claim, monkeypatch):
    monkeypatch.setattr(TaskEvidence, "answers", lambda *_: ())
    before = claim.decided_on(evidence_of(claim))
    assert before.word != "not run"
    module, name = TABLES[claim.source]
    table = getattr(module, name)().copy()
    make_true = before.word == "refuted" or claim.claim.id in WITHOUT_SIDES
    for asked in asked_by(claim, monkeypatch):
        table = as_claimed(table, asked) if make_true else exchanged(table, asked)
    monkeypatch.setattr(module, name, lambda: table)
    after = claim.decided_on(evidence_of(claim))
    if before.word == "inconclusive":
        assert told(after) != told(before)
    else:
        assert after.word != before.word


def evidence_of(claim):
    paper = claim.claim.paper.id
    return printed.PrintedEvidence(paper) if claim.source == "printed" else author_runs.AuthorRunsEvidence()


def asked_by(claim, monkeypatch):
    """The comparisons that decide a claim; of one that is no comparison, those that its test asks for."""
    if claim.claim.questions:
        deciding = [part for part in claim.claim.questions[0].conjuncts if not part.optional]
    else:
        deciding, ask = [], TaskEvidence.ask
        with monkeypatch.context() as patch:
            patch.setattr(TaskEvidence, "ask", lambda self, question: deciding.append(question) or ask(self, question))
            claim.decided_on(evidence_of(claim))
    comparisons = dict.fromkeys(leaf for question in deciding for leaf in question.leaves())
    assert comparisons, "a claim that compares nothing needs a control of its own"
    return comparisons


def told(verdict):
    """What is said of each task: a claim on runs of one draw each is undecided whatever their numbers."""
    found = verdict.comparison.findings if verdict.comparison else ()
    return [(finding.outcome, finding.left, finding.right, finding.note) for finding in found]


def as_claimed(table: pd.DataFrame, asked: Compared | Near) -> pd.DataFrame:
    """The left side lies where the claim wants it."""
    if isinstance(asked, Compared):
        return with_values(table, asked.left, lambda values: values + (1 if asked.upwards else -1))
    there = table[rows(table, asked.right)].assign(method=asked.left.method.name)
    return pd.concat([table[~rows(table, asked.left)], there], ignore_index=True)


def exchanged(table: pd.DataFrame, asked: Compared | Near) -> pd.DataFrame:
    """The two sides take each other's numbers."""
    left, right = asked.left, asked.right
    if not isinstance(right, Quantity):
        return with_values(table, left, lambda values: 2 * right - values)
    table, mine, other = table.copy(), rows(table, left), rows(table, right)
    for moved, to in ((mine, right), (other, left)):
        names = {"metric": to.metric.name, "method": to.method.name, "weights": to.weights}
        for column in names.keys() & set(table.columns):
            table.loc[moved, column] = names[column]
    if left.layers != right.layers:
        shift = round((right.layers[0] - left.layers[0]) * LAYERS)
        table.loc[mine, "layer"] += shift
        table.loc[other, "layer"] -= shift
    return table


def with_values(table: pd.DataFrame, quantity: Quantity, change) -> pd.DataFrame:
    table, mine = table.copy(), rows(table, quantity)
    table.loc[mine, "value"] = change(table.loc[mine, "value"])
    if "counted" in table:
        shares = mine & table["of"].notna()
        of = table.loc[shares, "of"].astype(int)
        table.loc[shares, "counted"] = (table.loc[shares, "value"].clip(0, 1) * of).round().astype(int)
    return table


def rows(table: pd.DataFrame, quantity: Quantity):
    found = (table["metric"] == quantity.metric.name) & (table["method"] == quantity.method.name)
    if "weights" in table:
        found &= table["weights"] == quantity.weights
    if "layer" not in table:
        return found
    if quantity.layers == WHOLE_DEPTH:
        return found & table["layer"].isna()
    first, last = (round(share * LAYERS) for share in quantity.layers)
    return found & table["layer"].between(first, last - 1).fillna(False).astype(bool)
