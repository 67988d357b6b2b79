"""All numbers of a run are one table, which comes back from CSV and Parquet as it went in."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from icl_claims.report.document import document_text, make_document
from icl_claims.report.numbers_table import as_csv, as_parquet, numbers_table
from tests.fast.sample_claims import RUN, sample_document, sample_finding, sample_record


def test_there_is_a_row_for_every_task_of_every_comparison():
    document = sample_document(6)
    table = numbers_table(document)
    claims = document["claims"]
    asked = sum(len(claim["tasks"]) + sum(len(b["tasks"]) for b in claim["beside"]) for claim in claims)
    assert len(table) == asked + sum(claim["effect"] is not None for claim in claims)
    of_one = next(claim for claim in claims if claim["tasks"] and claim["source"] == "trials")
    told = table[(table.id == of_one["id"]) & (table.source == "trials") & (table.profile == of_one["profile"])]
    first = told[told.decides & (told.task == of_one["tasks"][0]["task"])].iloc[0]
    assert (first.difference, first.low, first.high) == tuple(
        of_one["tasks"][0][name] for name in ("difference", "low", "high")
    )


def test_a_comparison_beside_does_not_decide_and_all_tasks_have_a_row():
    record = sample_record(
        beside=[{"name": "another question", "why": "", "tasks": [sample_finding(task="cb")]}],
        effect={"estimate": 0.2, "low": 0.1, "high": 0.3},
        provenance={"model": "small", "data": "miniature tasks"},
    )
    table = numbers_table(make_document(RUN, [record]))
    assert table.task.tolist() == ["sst2", "cb", "all tasks"]
    assert table.decides.tolist() == [True, False, True]
    assert table.question.tolist()[1] == "another question"
    assert set(table.model) == {"small"}
    assert table.difference.tolist() == [0.25, 0.25, 0.2]


def test_csv_gives_the_numbers_back():
    table = numbers_table(sample_document(6))
    read = pd.read_csv(io.StringIO(as_csv(sample_document(6))))
    assert list(read.columns) == list(table.columns)
    pd.testing.assert_series_equal(read.difference, table.difference.astype(float))


def test_parquet_gives_the_table_back():
    pytest.importorskip("pyarrow")
    table = numbers_table(sample_document(6))
    read = pd.read_parquet(io.BytesIO(as_parquet(sample_document(6))))
    assert list(read.columns) == list(table.columns)
    pd.testing.assert_series_equal(read.difference.astype(float), table.difference.astype(float))
    assert read.id.tolist() == table.id.tolist()


def test_no_text_is_a_formula_in_a_spreadsheet():
    record = sample_record("=HYPERLINK(1)", provenance={"model": "@SUM(A1)", "data": "-1+1"})
    cells = as_csv(make_document(RUN, [record])).splitlines()[1].split(",")
    assert not any(cell.strip('"').startswith(("=", "@", "+")) for cell in cells)
    assert "'=HYPERLINK(1)" in cells


def test_a_run_without_numbers_is_a_table_without_rows():
    table = numbers_table(make_document(RUN, [sample_record(tasks=[])]))
    assert (len(table), "difference" in table.columns) == (0, True)


def test_the_command_writes_both(run, tmp_path):
    path = tmp_path / "claims.json"
    path.write_text(document_text(sample_document(3)), encoding="utf-8")
    code, out, _ = run("export", path, "--to", "csv")
    assert (code, out.partition(",")[0]) == (0, "finished")
    code, _, err = run("export", path, "--to", "parquet")
    assert (code, "--output" in err) == (2, True)
    pytest.importorskip("pyarrow")
    code, _, _ = run("export", path, "--to", "parquet", "--output", tmp_path / "claims.parquet")
    assert code == 0
    assert len(pd.read_parquet(tmp_path / "claims.parquet")) == len(out.splitlines()) - 1
