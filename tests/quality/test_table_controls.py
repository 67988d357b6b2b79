"""Negative controls of the claims about tables: with a figure that does not fit, they say so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from icl_claims.evidence import table_arithmetic
from icl_claims.evidence.author_runs import AuthorRunsEvidence, author_runs
from icl_claims.evidence.printed import PrintedEvidence, printed_tables
from icl_claims.metrics import predictions
from tests.quality.controls import Control, computed, verdict_under
from tests.quality.data_claims import data_claims

rpa = predictions.rpa


def all_changes_over_those_by_finetuning(in_context, finetuned, zero_shot, gold, *, only="all"):
    column = rpa.values(in_context, finetuned, zero_shot, gold, only=only)
    return np.where((finetuned != zero_shot)[:, None], column, np.nan) if only == "all" else column


CONTROLS = [
    Control(
        "rpa-between",
        "of all changes, only those by finetuning count",
        {"icl_claims.metrics.predictions.rpa": computed(rpa, all_changes_over_those_by_finetuning)},
    ),
    Control(
        "rpa-between",
        "a query changed to two labels counts once",
        {
            "icl_claims.metrics.predictions.rpa": computed(
                rpa, lambda *case, **options: rpa.values(*case, **options)[:, :1]
            )
        },
    ),
]


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_a_broken_definition_refutes_the_claim(control, monkeypatch):
    assert verdict_under(control, monkeypatch).word == "refuted"


def with_figure(paper, table, task, method, metric, printed):
    """The tables with one figure changed."""
    tables = printed_tables().copy()
    cell = (tables["paper"] == paper) & (tables["table"] == table) & (tables["task"] == task)
    cell &= (tables["method"] == method) & (tables["metric"] == metric)
    assert cell.sum() == 1
    tables.loc[cell, "printed"] = printed
    return tables


@pytest.mark.parametrize(
    ("claim", "changed", "named"),
    [
        ("avg-t2", ("rethinking", "2", "mr", "layer_causal", "sim_am", "0.2991"), "SimAM of layer-causal finetuning"),
        ("avg-t2", ("revisited", "1", "average", "finetuning", "sim_aou", "0.1903"), "revisited, table 1"),
        ("avg-t4", ("rethinking", "4", "sst2", "linearized", "sim_aou", "0.132"), "SimAOU of linearised finetuning"),
        ("tables-agree", ("revisited", "1", "cb", "layer_causal", "sim_am", "0.0393"), "0.0293 and 0.0393"),
        ("tables-agree", ("rethinking", "3", "subj", "finetuning", "sim_aou", "0.1934"), "0.1932 and 0.1934"),
        ("percentages-are-counts", ("rethinking", "1", "cb", "finetuning", "accuracy", "58.1"), "CB"),
        ("percentages-are-counts", ("rethinking", "1", "mr", "finetuning", "rpa", "42.0"), "MR"),
    ],
)
def test_a_figure_that_does_not_fit_refutes_the_claim(claim, changed, named, monkeypatch):
    assert verdict(claim).word == "supported"
    tables = with_figure(*changed)
    monkeypatch.setattr(table_arithmetic, "printed_tables", lambda: tables)
    after = verdict(claim)
    assert after.word == "refuted"
    assert named in after.why


def test_other_accuracies_would_support_the_gap(monkeypatch):
    assert verdict("icl-ft-acc-gap-19").word == "refuted"
    of_dai = printed_tables().query("paper == 'dai'")
    tables = pd.concat([of_dai, of_dai.assign(paper="rethinking")])
    monkeypatch.setattr(table_arithmetic, "printed_tables", lambda: tables)
    assert verdict("icl-ft-acc-gap-19").word == "supported"


def verdict(claim):
    """What the claim's own test says of the printed tables."""
    (found,) = (one for one in data_claims("printed") if one.claim.id == claim)
    return found.decided_on(PrintedEvidence("rethinking"))


def test_a_logged_share_unlike_its_counts_refutes_the_definition(monkeypatch):
    (claim,) = (found for found in data_claims("author_runs") if found.claim.id == "rec2ftp-def")
    assert claim.decided_on(AuthorRunsEvidence()).word == "supported"
    table = author_runs().copy()
    place = table.index[table["metric"] == "rec2ftp_logged"][3]
    table.loc[place, "value"] += 0.001
    monkeypatch.setitem(claim.test.__globals__, "author_runs", lambda: table)
    assert claim.decided_on(AuthorRunsEvidence()).word == "refuted"
