"""A run answers what takes no time first, then mathematics, then trials by profile, and leaves pages as it goes."""

from __future__ import annotations

import json

import pytest

from icl_claims.experiments.options import chosen
from icl_claims.pytest_plugin import run_record
from icl_claims.pytest_plugin.order import stage_of
from icl_claims.pytest_plugin.session_report import spent
from icl_claims.report.ledger import command_of
from tests.fast.sample_claims import sample_record

CLAIM = """
    from icl_claims.claims import ON_MOST_TASKS, Comparison, Finding, rethinking

    FOUND = Comparison("a question", tuple(Finding(str(i), "holds", 1.0, 0.0, 1.0, 0.5, 1.5, 3, 10) for i in range(6)))

    @rethinking.claim("one", where="section 1", rule=ON_MOST_TASKS, on="trials author_runs printed")
    def test_one(evidence, decide):
        "It holds."
        decide(FOUND)

    @rethinking.claim("two", where="section 2", rule=ON_MOST_TASKS, on="exact")
    def test_two(evidence, decide):
        "It holds."
        decide(FOUND)

    def test_no_claim():
        pass
"""
ALL = [
    "test_one[author_runs]",
    "test_one[printed]",
    "test_two[exact]",
    "test_no_claim",
    "test_one[trials]",
    "test_one[trials-embedded]",
    "test_one[trials-paper]",
]


@pytest.fixture
def claims(pytester, monkeypatch):
    monkeypatch.delenv("ICL_CLAIMS_DATA", raising=False)
    monkeypatch.setattr(run_record, "BETWEEN_PAGES", 0.0)
    pytester.makepyfile(CLAIM)
    return pytester


def collected(pytester, *options):
    result = pytester.runpytest_inprocess("--collect-only", "-q", "-p", "no:cacheprovider", *options)
    return [line.partition("::")[2] for line in result.outlines if "::" in line]


def test_claims_are_put_in_order_and_other_tests_keep_their_places(claims):
    found = collected(claims)
    assert [one for one in found if one != "test_no_claim"] == [one for one in ALL if one != "test_no_claim"]
    assert found.index("test_no_claim") == len(found) - 1


@pytest.mark.parametrize(
    ("option", "profiles"),
    [
        ("--claims-profile=tiny", ["trials", "trials-paper"]),
        ("--claims-profile=embedded", ["trials", "trials-paper"]),
        ("--claims-profile=paper", ["trials"]),
        ("--claims-model=tiny", ["trials", "trials-paper"]),
        ("--claims-k=8", ["trials", "trials-embedded", "trials-paper"]),
    ],
)
def test_a_run_has_a_second_set_up_where_the_reader_named_none(claims, option, profiles):
    found = collected(claims, option)
    assert [one.partition("[")[2].rstrip("]") for one in found if "trials" in one] == profiles


def test_with_real_data_it_has_one(claims, monkeypatch, tmp_path):
    monkeypatch.setenv("ICL_CLAIMS_DATA", str(tmp_path))
    assert "test_one[trials-embedded]" not in collected(claims)


def test_a_page_is_left_as_soon_as_a_stage_is_over(claims):
    claims.makeconftest("""
        import json, pathlib, pytest

        @pytest.hookimpl(trylast=True)
        def pytest_runtest_setup(item):
            page = pathlib.Path("reports/claims.json")
            if "exact" in item.name and page.exists():
                pathlib.Path("seen.json").write_text(page.read_text())
    """)
    result = claims.runpytest_inprocess("-m", "not trials", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["decided: printed numbers and authors' runs; page so far: *claims.html"])
    seen = json.loads((claims.path / "seen.json").read_text())
    assert seen["run"]["going_on"]
    assert {claim["source"]: claim["verdict"] for claim in seen["claims"]} == {
        "printed": "consistent",
        "author_runs": "supported",
        "exact": "not run",
    }
    written = json.loads((claims.path / "reports" / "claims.json").read_text())
    assert not written["run"]["going_on"]
    assert len([*(claims.path / "reports" / "runs").iterdir()]) == 1


def test_a_run_that_takes_no_time_leaves_one_page(claims, monkeypatch):
    monkeypatch.setattr(run_record, "BETWEEN_PAGES", 10.0)
    result = claims.runpytest_inprocess("-m", "not trials", "-p", "no:cacheprovider")
    result.stdout.no_fnmatch_line("*page so far*")


def test_a_run_of_one_stage_leaves_one_page(claims):
    result = claims.runpytest_inprocess("-m", "exact", "-p", "no:cacheprovider")
    result.stdout.no_fnmatch_line("*page so far*")


def test_the_command_of_a_claim_finds_its_test():
    trial = {"source": "trials", "test": "a.py::test_one[trials-embedded]", "profile": "embedded", "asks": None}
    second = command_of(sample_record(**trial), {"profile": "tiny", "k": 8})
    assert second == "icl-claims run 'a.py::test_one[trials-embedded]' --claims-k 8"
    first = command_of(sample_record(**trial | {"test": "a.py::test_one[trials]"}), {"profile": "embedded"})
    assert first == "icl-claims run 'a.py::test_one[trials]' --claims-profile embedded"


def test_stages_are_named_and_what_was_spent_is_plain_data():
    assert stage_of("trials", "tiny") == "trials of tiny"
    assert spent({}) == []
    assert chosen({}).profile.name == "tiny"
