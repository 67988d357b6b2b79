"""A run in other people's formats says the same as the run itself."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from datetime import datetime

import pytest

from icl_claims.cli.runs import export_run
from icl_claims.errors import UsageError
from icl_claims.report.document import document_text, make_document
from icl_claims.report.exports import KNOWN, STATUSES, as_ctrf, as_earl
from icl_claims.report.verdicts import REFUTING, VERDICTS
from tests.fast.sample_claims import RUN, sample_document, sample_record


@pytest.fixture
def one_of_each():
    """A record for each word, and known refutations."""
    claims = [sample_record(word, verdict=word, seconds=1.25) for word in VERDICTS]
    claims += [sample_record(f"{word}, as known", verdict=word, known_refutation="explained") for word in REFUTING]
    return make_document(RUN, claims)


def test_ctrf_has_what_its_specification_requires(one_of_each):
    report = as_ctrf(one_of_each)
    assert (report["reportFormat"], report["specVersion"]) == ("CTRF", "1.0.0")
    uuid.UUID(report["reportId"])
    datetime.fromisoformat(report["timestamp"])
    results = report["results"]
    assert {"tool", "summary", "tests"} <= set(results)
    assert results["tool"]["name"]
    for test in results["tests"]:
        assert {"name", "status", "duration"} <= set(test)
        assert test["status"] in STATUSES
        assert isinstance(test["duration"], int)
        uuid.UUID(test["id"])


def test_ctrf_counts_are_those_of_its_tests(one_of_each):
    results = as_ctrf(one_of_each)["results"]
    counted = Counter(test["status"] for test in results["tests"])
    assert all(results["summary"][status] == counted[status] for status in STATUSES)
    assert results["summary"]["tests"] == sum(counted.values()) == len(VERDICTS) + len(REFUTING)
    assert results["summary"]["stop"] - results["summary"]["start"] == 372_400


def test_ctrf_gives_every_word_its_status(one_of_each):
    tests = as_ctrf(one_of_each)["results"]["tests"]
    assert {test["labels"]["id"]: test["rawStatus"] for test in tests} == {
        test["rawStatus"]: test["rawStatus"] for test in tests
    }
    assert {test["rawStatus"]: test["status"] for test in tests} == {
        "supported": "passed",
        "consistent": "passed",
        "refuted": "failed",
        "inconsistent": "failed",
        "vacuous": "other",
        "inconclusive": "other",
        "not run": "skipped",
        "error": "failed",
        "refuted, as known": "other",
        "inconsistent, as known": "other",
    }


def test_ctrf_says_what_kind_of_interval_an_effect_has():
    effect = {"estimate": 0.25, "low": 0.1, "high": 0.4, "kind": "rounding"}
    [test] = as_ctrf(make_document(RUN, [sample_record(effect=effect)]))["results"]["tests"]
    assert {name: test["labels"][f"effect_{name}"] for name in effect} == effect


def test_ctrf_names_a_claim_alike_in_every_run():
    names = [[test["id"] for test in as_ctrf(sample_document(3))["results"]["tests"]] for _ in range(2)]
    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0])


def test_earl_asserts_every_record_once_with_its_outcome(one_of_each):
    graph = as_earl(one_of_each)["@graph"]
    by_id = {node["@id"]: node for node in graph if "@id" in node}
    found = {}
    for node in graph:
        if node["@type"] == "earl:Assertion":
            assert by_id[node["assertedBy"]]["@type"] == "earl:Software"
            assert by_id[node["subject"]]["@type"] == "earl:TestSubject"
            assert by_id[by_id[node["test"]]["isPartOf"]]["title"].startswith("Rethinking")
            found[by_id[node["test"]]["identifier"]] = node["result"]["outcome"]
    assert found == {
        "supported": "earl:passed",
        "consistent": "earl:passed",
        "refuted": "earl:failed",
        "inconsistent": "earl:failed",
        "vacuous": "earl:cantTell",
        "inconclusive": "earl:cantTell",
        "not run": "earl:untested",
        "error": "earl:cantTell",
        "refuted, as known": KNOWN,
        "inconsistent, as known": KNOWN,
    }
    assert by_id[KNOWN]["@type"] == "earl:Fail"


def test_every_form_names_a_known_refutation_alike_and_gives_the_reason(one_of_each):
    tests = [test for test in as_ctrf(one_of_each)["results"]["tests"] if "known_refutation" in test["labels"]]
    results = [
        node["result"] for node in as_earl(one_of_each)["@graph"] if node.get("result", {}).get("outcome") == KNOWN
    ]
    assert [test["rawStatus"] for test in tests] == [result["title"] for result in results]
    assert len(tests) == len(REFUTING)
    assert {test["labels"]["known_refutation"] for test in tests} == {"explained"}
    assert all(result["info"].endswith("Known: explained") for result in results)


def test_earl_names_every_term_in_its_own_context(one_of_each):
    document = as_earl(one_of_each)
    known = set(document["@context"]) | {"@id", "@type"}
    nodes = [*document["@graph"], *(node["result"] for node in document["@graph"] if "result" in node)]
    assert {name for node in nodes for name in node} <= known
    own = {node["@id"] for node in nodes if "@id" in node}
    values = {value for node in nodes for value in (node["@type"], node.get("outcome", "earl:"))} - own
    assert {value.partition(":")[0] for value in values} <= known


@pytest.mark.parametrize(("to", "opens"), [("ctrf", "{"), ("earl", "{"), ("json", "{"), ("html", "<!doctype html>")])
def test_a_run_is_exported_in_every_form(tmp_path, to, opens):
    document = make_document(RUN, [sample_record()])
    (tmp_path / "run.json").write_text(document_text(document), encoding="utf-8")
    export_run(str(tmp_path / "run.json"), to=to, output=tmp_path / "out", figures=None, runs=tmp_path)
    written = (tmp_path / "out").read_text(encoding="utf-8")
    assert written.lstrip().startswith(opens)
    assert "lc-aou-5of6" in written


def test_the_figures_of_a_run_are_saved_as_svg_and_pdf(tmp_path, capsys):
    changes = {"subj": {"shared": {"correct": 2, "incorrect": 1}}}
    document = make_document(RUN, [sample_record()], pictures={"tiny": {"changes": changes}})
    (tmp_path / "run.json").write_text(json.dumps(document), encoding="utf-8")
    export_run(str(tmp_path / "run.json"), to="ctrf", output=None, figures=tmp_path / "figures", runs=tmp_path)
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["changes-tiny.pdf", "changes-tiny.svg"]
    assert capsys.readouterr().out == ""


def test_an_unknown_form_is_refused(tmp_path):
    with pytest.raises(UsageError, match="ctrf, earl, json, html"):
        export_run("last", to="pdf", output=None, figures=None, runs=tmp_path)
