"""A comparison of two runs finds what was changed, and nothing else."""

from __future__ import annotations

import copy
import json

import pytest

from icl_claims.cli import app, main
from icl_claims.report.compare import compare_runs, comparison_json, comparison_page, comparison_text
from icl_claims.report.document import document_text, make_document
from icl_claims.report.ledger import key_of
from icl_claims.report.write import write_whole
from tests.fast.sample_claims import RUN, sample_document, sample_finding, sample_record


@pytest.fixture
def two_runs(tmp_path):
    """A run, and a later one with another verdict, a claim gone and one added; and both as files."""
    old, new = sample_document(3), copy.deepcopy(sample_document(3))
    new["claims"][0]["verdict"] = "inconclusive"
    gone = new["claims"].pop()
    new["claims"].append(make_document(RUN, [sample_record("brand-new")])["claims"][0])
    paths = tmp_path / "old.json", tmp_path / "new.json"
    for path, document in zip(paths, (old, new), strict=True):
        write_whole(path, document_text(document))
    return old, new, gone, paths


def test_a_run_compared_with_itself_has_no_change():
    comparison = compare_runs(sample_document(3), sample_document(3))
    assert not comparison.verdict_changed
    assert (comparison.effects, comparison.added, comparison.gone) == ((), (), ())
    assert comparison.same == len(sample_document(3)["claims"])


def test_changed_verdicts_and_claims_added_or_gone_are_found(two_runs):
    old, new, gone, _ = two_runs
    comparison = compare_runs(old, new)
    [change] = comparison.verdicts
    assert (change.claim.id, change.old, change.new) == (old["claims"][0]["id"], "consistent", "inconclusive")
    assert [claim.id for claim in comparison.added] == ["brand-new"]
    assert [claim.id for claim in comparison.gone] == [gone["id"]]


def test_comparing_the_other_way_round_exchanges_added_and_gone(two_runs):
    old, new, *_ = two_runs
    there, back = compare_runs(old, new), compare_runs(new, old)
    assert (there.added, there.gone) == (back.gone, back.added)
    assert [(one.old, one.new) for one in there.verdicts] == [(one.new, one.old) for one in back.verdicts]


@pytest.mark.parametrize(("shift", "changed"), [(0.0, False), (0.29, False), (0.31, True), (-0.31, True)])
def test_a_difference_changed_where_intervals_are_apart(shift, changed):
    def run(by):
        finding = sample_finding(low=0.1 + by, difference=0.25 + by, high=0.4 + by)
        effect = {"estimate": 0.25 + by, "low": 0.1 + by, "high": 0.4 + by}
        return make_document(RUN, [sample_record(tasks=[finding], effect=effect)])

    changes = compare_runs(run(0.0), run(shift)).effects
    assert [change.task for change in changes] == (["sst2", "all tasks"] if changed else [])


def test_two_profiles_or_conditions_are_two_records():
    records = [sample_record(), sample_record(profile="tiny"), sample_record(condition="no bias")]
    assert len({key_of(claim) for claim in make_document(RUN, records)["claims"]}) == 3


def test_every_form_tells_the_same(two_runs):
    old, new, gone, _ = two_runs
    comparison = compare_runs(old, new)
    text, page, data = comparison_text(comparison), comparison_page(comparison), json.loads(comparison_json(comparison))
    for form in (text, page):
        assert "brand-new (trials, embedded)" in form
        assert gone["id"] in form
        assert "1 verdicts changed" in form
    assert data["verdict_changed"] is True
    assert data["verdicts"][0]["new"] == "inconclusive"


def test_what_a_run_says_is_text_on_the_page_of_a_comparison():
    hostile = "<script>alert(1)</script>"
    old = make_document({**RUN, "name": hostile, "commit": hostile}, [])
    new = make_document(RUN, [sample_record(hostile, statement=hostile, condition=hostile)])
    assert "<script" not in comparison_page(compare_runs(old, new))


@pytest.mark.parametrize("to", ["text", "json", "html"])
def test_the_command_exits_with_1_where_a_verdict_changed(two_runs, tmp_path, run_command, to):
    *_, (old, new) = two_runs
    assert run_command("compare", old, new, "--to", to, "--output", tmp_path / "out")[0] == 1
    assert "brand-new" in (tmp_path / "out").read_text(encoding="utf-8")
    code, printed = run_command("compare", old, old)
    assert code == 0
    assert "0 verdicts changed" in printed


def test_a_run_that_is_not_there_is_an_error_with_advice(run_command, tmp_path):
    code, printed = run_command("compare", "7", "8", "--runs", tmp_path)
    assert code == 2
    assert "No run '7'" in printed


@pytest.fixture
def run_command(monkeypatch, capsys):
    """Run icl-claims; gives its exit code and what it printed."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["icl-claims", *map(str, words)])
        with pytest.raises(SystemExit) as exit_:
            main()
        printed = capsys.readouterr()
        return exit_.value.code, " ".join((printed.out + printed.err).split())

    assert app is not None
    return run


# What the runs rest on


def ran(profile, model, verdict="supported", **options):
    """A run of one set-up, another of which was not run."""
    record = sample_record(profile=profile, verdict=verdict, provenance={"model": model, "data": "miniature tasks"})
    idle = sample_record(profile="paper", verdict="not run", tasks=[])
    return make_document({**RUN, "options": options}, [record, idle])


def test_what_two_runs_rest_on_is_said_first():
    comparison = compare_runs(ran("embedded", "small", queries=16), ran("embedded", "large", queries=32))
    assert [(one.what, one.old, one.new) for one in comparison.inputs] == [
        ("model", "small", "large"),
        ("option queries", "16", "32"),
    ]
    lines = comparison_text(comparison).splitlines()
    assert lines.index("  model: small -> large") < lines.index("2 verdicts are the same.")
    assert json.loads(comparison_json(comparison))["inputs"][0]["new"] == "large"
    assert "What the runs rest on" in comparison_page(comparison)


def test_runs_that_rest_on_the_same_say_nothing_of_it():
    assert compare_runs(ran("tiny", "tiny"), ran("tiny", "tiny")).inputs == ()
    assert "What the runs rest on" not in comparison_page(compare_runs(ran("tiny", "tiny"), ran("tiny", "tiny")))


def test_an_option_that_one_run_has_alone_is_told():
    comparison = compare_runs(ran("tiny", "tiny"), ran("tiny", "tiny", k=8))
    assert "  option k: none -> 8" in comparison_text(comparison).splitlines()


def test_trials_of_one_set_up_are_set_beside_those_of_another():
    comparison = compare_runs(ran("tiny", "tiny"), ran("embedded", "small", verdict="refuted"))
    [change] = comparison.verdicts
    assert (change.old, change.new, change.claim.profile) == ("supported", "refuted", "embedded")
    assert (comparison.added, comparison.gone) == ((), ())
    assert [one.what for one in comparison.inputs] == ["set-up of trials", "model"]


def test_where_a_run_has_trials_of_two_set_ups_each_is_compared_with_its_own():
    records = [
        sample_record(profile=profile, provenance={"model": profile, "data": "none"})
        for profile in ("tiny", "embedded")
    ]
    both = make_document(RUN, records)
    comparison = compare_runs(both, ran("embedded", "embedded"))
    assert [claim.profile for claim in comparison.gone] == ["tiny"]
    assert comparison.same == 1
