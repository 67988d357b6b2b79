"""A document of claims is checked against its schema, read in every version, and stands in the papers' order."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_claims.claims import Word
from icl_claims.errors import ReportError
from icl_claims.methods import Finetuning, LayerCausal
from icl_claims.metrics import rpa, sim_aou
from icl_claims.report import document
from icl_claims.report.compare import compare_runs
from icl_claims.report.document import check_document, document_text, find_run, make_document, read_document, save_run
from icl_claims.report.ledger import section_of
from icl_claims.report.verdicts import ON_PRINTED, VERDICTS, WORST_FIRST
from icl_claims.report.words import DASH, MINUS, number, p_value, p_words, replication_words, verdict_sentence
from tests.fast.sample_claims import RUN, compared, sample_document, sample_finding, sample_record

NEWER_FIELDS = (
    "decided_by",
    "nulls",
    "replication",
    "specifications",
    "looks",
    "outlook",
    "rule_digest",
    "rule_since",
    "rule_in_sight",
)
NEW_FIELDS = ("quantity", "effect", "p", "beside", "would_change", *NEWER_FIELDS)
OLD_FIELDS = ("task", "outcome", "left", "right", "difference", "low", "high", "queries", "note")


def as_version_1(document):
    """What an older version would have written of the same run."""
    claims = [
        {name: value for name, value in claim.items() if name not in NEW_FIELDS}
        | {"tasks": [{name: finding[name] for name in OLD_FIELDS} for finding in claim["tasks"]]}
        for claim in document["claims"]
    ]
    run = {name: value for name, value in document["run"].items() if name not in ("name", "interrupted")}
    return {"schema_version": 1, "run": run, "claims": claims}


def as_version_3(document):
    """What the version before would have written: other p values, no kinds of intervals, one set of words."""
    old_words = {new: old for old, new in ON_PRINTED.items()}
    p = {"sign": 0.11, "sign_flip": 0.047, "smallest": 1 / 64, "holm": 0.33}
    claims = [
        {name: value for name, value in claim.items() if name not in NEWER_FIELDS}
        | {"verdict": old_words.get(claim["verdict"], claim["verdict"]), "p": p}
        | {"effect": claim["effect"] and {name: claim["effect"][name] for name in ("estimate", "low", "high")}}
        for claim in document["claims"]
    ]
    return document | {"schema_version": 3, "claims": claims}


def test_a_full_document_fits_the_schema_and_is_read_back(tmp_path):
    document = sample_document(4)
    (tmp_path / "claims.json").write_text(document_text(check_document(document, "sample")), encoding="utf-8")
    assert read_document(tmp_path / "claims.json") == document


def test_an_older_document_is_read_with_defaults(tmp_path):
    path = tmp_path / "claims.json"
    path.write_text(json.dumps(as_version_1(sample_document(2))), encoding="utf-8")
    document = read_document(path)
    assert document["schema_version"] == 6
    assert [claim["id"] for claim in document["claims"]] == [claim["id"] for claim in sample_document(2)["claims"]]
    assert {claim["effect"] for claim in document["claims"]} == {None}
    assert all(finding["null_low"] is None for claim in document["claims"] for finding in claim["tasks"])


def test_a_document_of_the_version_before_has_the_words_and_no_other_p_values(tmp_path):
    new = sample_document(4)
    (tmp_path / "claims.json").write_text(json.dumps(as_version_3(new)), encoding="utf-8")
    old = read_document(tmp_path / "claims.json")
    assert [claim["verdict"] for claim in old["claims"]] == [claim["verdict"] for claim in new["claims"]]
    assert {"consistent", "inconsistent"} & {claim["verdict"] for claim in old["claims"]}
    assert {claim["p"] for claim in old["claims"]} == {claim["replication"] for claim in old["claims"]} == {None}
    assert {claim["effect"]["kind"] for claim in old["claims"] if claim["effect"]} == {""}
    assert not compare_runs(old, new).verdict_changed


def test_a_document_of_version_4_keeps_its_p_values_and_words(tmp_path):
    new = sample_document(4)
    claims = [{name: one[name] for name in one if name not in ("looks", "outlook")} for one in new["claims"]]
    run = {name: new["run"][name] for name in new["run"] if name not in ("going_on", "spent")}
    old = new | {"schema_version": 4, "run": run, "claims": claims}
    (tmp_path / "claims.json").write_text(json.dumps(old), encoding="utf-8")
    found = read_document(tmp_path / "claims.json")
    assert [(one["verdict"], one["p"]) for one in found["claims"]] == [(one["verdict"], one["p"]) for one in claims]
    assert {one["outlook"] for one in found["claims"]} == {None}
    assert found["run"]["spent"] == []


def test_the_schema_and_the_order_by_severity_know_every_word():
    schema = json.loads(Path(document.__file__).with_name("claims.schema.json").read_text(encoding="utf-8"))
    assert tuple(schema["$defs"]["verdict"]["enum"]) == VERDICTS
    assert set(get_args(Word)) | {"error"} == set(VERDICTS) == set(WORST_FIRST)
    assert len(WORST_FIRST) == len(VERDICTS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda claim: claim.update(verdict="perhaps"),
        lambda claim: claim.update(p={"supported": 1.5, "refuted": None}),
        lambda claim: claim.update(p={"sign": 0.1, "sign_flip": 0.1, "smallest": 0.1, "holm": 0.1}),
        lambda claim: claim.update(nulls=[{"name": "", "verdict": "supported", "exceeded": "maybe", "why": ""}]),
        lambda claim: claim.update(replication={"groups": 8, "replicates": 16, "words": {"perhaps": 8}}),
        lambda claim: claim.update(effect={"estimate": 1.0, "low": 0.0, "high": 2.0, "kind": "a guess"}),
        lambda claim: claim.update(tasks=[sample_finding(outcome="maybe")]),
        lambda claim: claim.update(effect={"estimate": 1.0}),
        lambda claim: claim.update(source="hearsay"),
        lambda claim: claim.pop("why"),
    ],
)
def test_a_malformed_document_is_refused_with_the_place(spoil):
    document = copy.deepcopy(sample_document(1))
    spoil(document["claims"][0])
    with pytest.raises(ReportError, match=r"at \$\.claims\[0\]"):
        check_document(document, "sample")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 99}', '{"schema_version": 2, "run": {}}'])
def test_what_is_no_document_is_refused(tmp_path, text):
    (tmp_path / "claims.json").write_text(text, encoding="utf-8")
    with pytest.raises(ReportError):
        read_document(tmp_path / "claims.json")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "expected a claims.json or a saved run, got other JSON. Name a run, or run pytest claims/ first"),
        ('{"schema_version": 2, "run": {}}', "name another run"),
        ('{"schema_version": 2, "run": {}, "claims": {}}', "its claims are no list"),
    ],
)
def test_what_is_no_document_is_refused_with_what_to_do(tmp_path, text, told):
    (tmp_path / "claims.json").write_text(text, encoding="utf-8")
    with pytest.raises(ReportError, match=re.escape(told)):
        read_document(tmp_path / "claims.json")


def test_numpy_numbers_and_lone_surrogates_can_be_written():
    finding = sample_finding(left=np.float64(0.25), note="\ud800")
    written = json.loads(document_text(check_document(make_document(RUN, [sample_record(tasks=[finding])]), "sample")))
    assert written["claims"][0]["tasks"][0]["left"] == 0.25
    assert written["claims"][0]["tasks"][0]["note"] == "\\ud800"


def test_a_number_that_is_not_finite_is_written_as_nothing():
    finding = sample_finding(left=float("nan"), high=float("inf"))
    sweep = [{"clip": None, "sim_aou": float("-inf"), "sim_am": 0.5}]
    document = make_document(RUN, [sample_record(tasks=[finding])], pictures={"tiny": {"clip_sweep": {"cb": sweep}}})
    written = json.loads(document_text(check_document(document, "sample")))
    assert (written["claims"][0]["tasks"][0]["left"], written["claims"][0]["tasks"][0]["high"]) == (None, None)
    assert written["pictures"]["tiny"]["clip_sweep"]["cb"] == [{"clip": None, "sim_aou": None, "sim_am": 0.5}]


def test_claims_stand_in_the_papers_order():
    places = [("rethinking", "section 3.10"), ("dai", "section 1"), ("rethinking", "section 3.4, table 2")]
    places += [("rethinking", "figure 1"), ("rethinking", "abstract"), ("unknown", "section 1")]
    claims = [sample_record(f"claim-{i}", paper=paper, where=where) for i, (paper, where) in enumerate(places)]
    assert [claim["id"] for claim in make_document(RUN, claims)["claims"]] == [f"claim-{i}" for i in (4, 2, 0, 3, 1, 5)]


@pytest.mark.parametrize(
    ("where", "section"),
    [
        ("section 3.4 and figure 2", "Section 3.4"),
        ("figure 1", "Figure 1"),
        ("on the SimAOU metric", "elsewhere"),
        ("table of results", "elsewhere"),
    ],
)
def test_a_place_belongs_to_the_section_it_opens_with(where, section):
    assert section_of(where) == section


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_a_printed_number_says_what_it_was_to_its_last_digit(value):
    read = float(number(value).replace(MINUS, "-").replace(",", ""))
    assert abs(read - value) <= max(0.005 * abs(value), 5e-5, 0.5 if abs(value) >= 1000 else 0)


def test_numbers_look_as_in_the_papers():
    assert [number(x) for x in (0.1091, -0.336, 0.0008, 12.34, None)] == [".109", f"{MINUS}.336", ".0008", "12.3", DASH]
    assert (p_value(0.11), p_value(1e-6)) == ("= .11", "< .0001")


def test_the_sentence_of_a_verdict_is_made_from_its_numbers():
    tasks = [sample_finding(task=task) for task in ("sst2", "mr", "subj", "agnews", "cb")]
    tasks.append(sample_finding(task="sst5", outcome="fails", difference=-0.1))
    claim = sample_record(
        tasks=tasks,
        quantity=compared(sim_aou(LayerCausal()) > sim_aou(Finetuning())),
        effect={"estimate": 0.09, "low": 0.04, "high": 0.14, "kind": "confidence sequence over draws"},
    )
    assert verdict_sentence(make_document(RUN, [claim])["claims"][0]) == (
        "SimAOU of layer-causal finetuning is higher than that of finetuning on 5 of 6 tasks, lower on SST5; "
        "pooled difference .0900 [.0400, .140] (confidence sequence over draws)."
    )


@pytest.mark.parametrize(
    ("source", "p", "said"),
    [
        ("trials", {"supported": 0.0031, "refuted": None}, "p = .0031 (supported), at any stopping"),
        ("author_runs", {"supported": 0.97, "refuted": 1e-6}, "p = .97 (supported), p < .0001 (refuted)"),
        ("trials", {"supported": None, "refuted": None}, ""),
        ("printed", None, ""),
    ],
)
def test_p_values_say_what_for_and_whether_at_any_stopping(source, p, said):
    assert p_words(sample_record(source=source, p=p)) == said


@given(st.dictionaries(st.sampled_from(get_args(Word)), st.integers(1, 9), min_size=1), st.sampled_from(get_args(Word)))
def test_a_replication_names_every_word_once_its_own_first(words, own):
    found = {"groups": sum(words.values()), "replicates": 16, "words": words}
    said = replication_words(sample_record(verdict=own, replication=found))
    parts = [part.partition(" in ") for part in said.split("; ")]
    assert parts[0][0] == own
    assert {word: int(rest.split()[0]) for word, _, rest in parts} == {own: 0} | words


def test_the_sentence_of_a_claim_that_says_lower_says_lower():
    quantity = compared(rpa(Finetuning()) < 0.5)
    claim = sample_record(tasks=[sample_finding(difference=-0.2)], quantity=quantity)
    sentence = verdict_sentence(make_document(RUN, [claim])["claims"][0])
    assert sentence == "RPA of finetuning is lower than 0.5 on 1 of 1 tasks."


def test_the_sentence_gives_the_plain_numbers_beside_intervals():
    quantity = compared(sim_aou(Finetuning()).of_weights("norms") > sim_aou(Finetuning()))
    tasks = [
        sample_finding(),
        sample_finding(task="mr", outcome="unclear"),
        sample_finding(task="cb", outcome="absent"),
    ]
    claim = sample_record(tasks=tasks, quantity=quantity)
    assert verdict_sentence(make_document(RUN, [claim])["claims"][0]) == (
        "SimAOU of finetuning (untrained: keeps norms) is higher than that of finetuning on 1 of 3 tasks "
        "(2 by the plain numbers), undecided on MR, without evidence on CB."
    )


@pytest.mark.parametrize(
    "quantity",
    [
        {"left": "sim_aou of finetuning", "right": "sim_aou of zero_shot", "direction": "above"},
        {side: {"title": side, "metric": "RPA", "of": side} for side in ("left", "right")},
    ],
    ids=["of an older version", "neither higher nor lower"],
)
def test_other_claims_keep_the_words_of_their_evidence(quantity):
    claim = sample_record(why="rpa of finetuning is as large, sst5 apart.", quantity=quantity)
    assert verdict_sentence(make_document(RUN, [claim])["claims"][0]) == claim["why"]


def test_saved_runs_are_found_by_number_name_file_and_last(tmp_path):
    documents = [make_document({**RUN, "name": name}, [sample_record()]) for name in ("first", "a/b c", "first")]
    saved = [save_run(document, tmp_path) for document in documents]
    assert [path.name for path in saved] == ["0001_first.json", "0002_a-b-c.json", "0003_first.json"]
    found = [find_run(name, tmp_path) for name in ("1", "0002", "first", "0001_first", "last", str(saved[1]))]
    assert found == [saved[0], saved[1], saved[2], saved[0], saved[2], saved[1]]
    assert read_document(saved[1]) == documents[1]


def test_a_missing_run_is_an_error_that_names_the_others(tmp_path):
    save_run(make_document({**RUN, "name": "mine"}, [sample_record()]), tmp_path)
    with pytest.raises(ReportError, match="0001_mine"):
        find_run("yours", tmp_path)


def test_a_library_that_does_not_tell_its_version_loses_no_run():
    assert document.libraries(("numpy", "a-library-that-is-not-there")) == {"numpy": np.__version__}
