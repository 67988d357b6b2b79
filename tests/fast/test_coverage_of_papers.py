"""Every sentence and every table of the papers leads to the claims that decide it, or to the reason why none does."""

from __future__ import annotations

import json

import pytest

from icl_claims.claims import PAPERS, coverage_of_papers
from icl_claims.evidence.printed import printed_tables
from tests.quality.controls import ROOT, claim_tests

COVERAGE = json.loads((ROOT / "fixtures" / "coverage.json").read_text(encoding="utf-8"))
LEDGER = json.loads((ROOT / "fixtures" / "ledger_ids.json").read_text(encoding="utf-8"))
ENTRIES = [(paper, entry) for paper, entries in COVERAGE.items() for entry in entries]
NAMED = {claim for _, entry in ENTRIES for claim in entry["claims"]}


@pytest.fixture(scope="module")
def claims():
    """The claims of the project, by id."""
    return {mark.args[0].id: mark.args[0] for _, mark in claim_tests()}


@pytest.mark.parametrize(
    ("paper", "entry"), ENTRIES, ids=lambda value: value["place"] if isinstance(value, dict) else value
)
def test_a_sentence_has_claims_or_a_reason_why_it_has_none(paper, entry):
    assert set(entry) <= {"place", "says", "claims", "rows", "note"}
    assert paper in PAPERS
    assert entry["place"]
    assert entry["says"].endswith(".")
    assert entry["claims"] or entry["note"]
    assert len(set(entry["claims"])) == len(entry["claims"])


def test_no_id_stands_for_two_sentences(claims):
    assert {mark.args[0] for _, mark in claim_tests()} == set(claims.values())


def test_every_claim_that_a_sentence_names_exists(claims):
    assert sorted(NAMED - set(claims)) == []


def test_every_claim_of_the_ledger_exists_and_is_named(claims):
    wanted = {*LEDGER["papers"], *LEDGER["follow_ups"]}
    assert sorted(wanted - set(claims)) == []
    assert sorted(wanted - NAMED) == []


def test_the_ledger_has_57_claims_of_the_papers_and_none_twice():
    ids = [*LEDGER["papers"], *LEDGER["follow_ups"]]
    assert len(LEDGER["papers"]) == 57
    assert len(set(ids)) == len(ids)


def test_a_claim_without_a_sentence_stands_under_its_own():
    claim = {"id": "mine", "paper": "rethinking", "where": "section 9", "statement": "A sentence of its own."}
    own = [entry for entry in coverage_of_papers([claim]) if entry["claims"] == ["mine"]]
    assert own == [
        {**dict.fromkeys(("note",), ""), "paper": "rethinking", "where": "section 9"}
        | {"what": "A sentence of its own.", "claims": ["mine"]}
    ]


def test_a_run_about_other_papers_does_not_list_ours():
    claim = {"id": "mine", "paper": "own", "where": "section 9", "statement": "A sentence of its own."}
    assert {entry["paper"] for entry in coverage_of_papers([claim])} == {"own"}


def test_every_row_of_every_table_is_used_and_no_other():
    named = {(paper, row) for paper, entry in ENTRIES for row in entry.get("rows", ())}
    cells = printed_tables()[["paper", "table", "metric", "method"]].drop_duplicates()
    printed = {(row.paper, f"{row.table}: {row.metric} of {row.method}") for row in cells.itertuples()}
    assert sorted(printed - named) == []
    assert sorted(named - printed) == []


def test_a_claim_of_a_paper_is_named_by_a_sentence_of_that_paper(claims):
    by_paper = {paper: {claim for entry in entries for claim in entry["claims"]} for paper, entries in COVERAGE.items()}
    named = [claim for claim in claims.values() if claim.id in NAMED]
    elsewhere = {claim.id for claim in named if claim.id not in by_paper.get(claim.paper.id, {claim.id})}
    assert sorted(elsewhere) == []
