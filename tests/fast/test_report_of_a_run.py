"""What a run of claims leaves: a report that says what was not reached, a saved run, a comparison, JUnit properties."""

from __future__ import annotations

import json
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from icl_claims.report.document import make_document
from tests.fast.sample_claims import RUN, sample_record

CLAIMS = """
    from icl_claims.claims import Verdict, rethinking

    @rethinking.claim("first", where="section 1", on="author_runs")
    def test_first(evidence, decide):
        "Something holds."
        decide(Verdict({word!r}, "Because."))

    @rethinking.claim("second", where="section 3.2", on="author_runs")
    def test_second(evidence, decide):
        "Something holds."
        {second}

    @rethinking.claim("third", where="section 3.2", on="author_runs")
    def test_third(evidence, decide):
        "Something holds."
        decide(Verdict("inconclusive", "Too few."))
"""
DECIDED = 'decide(Verdict("refuted", "Because not."))'


@pytest.fixture
def run_claims(pytester):
    """Run three claims; gives the result and the words of claims.json by claim."""

    def run(*options, word="supported", second=DECIDED, way="inprocess"):
        pytester.makepyfile(CLAIMS.format(word=word, second=second))
        result = getattr(pytester, f"runpytest_{way}")("-p", "no:cacheprovider", *options)
        written = pytester.path / "reports" / "claims.json"
        document = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {"claims": []}
        return result, {claim["id"]: claim["verdict"] for claim in document["claims"]}

    return run


def test_an_interrupted_run_reports_the_rest_as_not_run(run_claims, pytester):
    result, words = run_claims(second="raise KeyboardInterrupt", way="subprocess")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert words == {"first": "supported", "second": "not run", "third": "not run"}
    assert "<strong>interrupted</strong>" in (pytester.path / "reports" / "claims.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_stopped_at_a_failure_reports_the_rest_as_not_run(run_claims, workers):
    _, words = run_claims("-x", "-n", workers)
    assert words == {"first": "supported", "second": "refuted", "third": "not run"}


def test_a_worker_that_dies_is_an_error_of_its_claim(run_claims):
    _, words = run_claims("-n", "1", "--max-worker-restart=0", second="import os; os._exit(1)")
    assert words == {"first": "supported", "second": "error", "third": "not run"}


def test_claims_that_are_only_collected_leave_no_report(run_claims, pytester):
    run_claims("--collect-only")
    assert not (pytester.path / "reports").exists()


def test_every_run_is_saved_under_a_number_and_a_name(run_claims, pytester):
    run_claims()
    run_claims("--claims-name", "once more")
    runs = pytester.path / "reports" / "runs"
    assert sorted(path.name for path in runs.iterdir()) == ["0001_tiny.json", "0002_once-more.json"]
    facts = json.loads((runs / "0002_once-more.json").read_text(encoding="utf-8"))["run"]
    assert facts["machine"]
    assert "commit" in facts


def test_a_changed_verdict_fails_only_a_run_that_compares(run_claims):
    run_claims("-k", "first")
    assert run_claims("-k", "first", word="inconclusive")[0].ret == pytest.ExitCode.OK
    result, _ = run_claims("-k", "first", "--claims-compare", "1", word="inconclusive")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*first (author runs): supported -> inconclusive*"])
    assert run_claims("-k", "first", "--claims-compare", "0001_tiny")[0].ret == pytest.ExitCode.OK


def test_a_missing_run_to_compare_with_is_refused_at_once(run_claims):
    result, words = run_claims("--claims-compare", "17")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--claims-compare: No run '17'*"])
    assert not words


def test_the_terminal_shows_changed_claims_first(run_claims):
    run_claims()
    result, _ = run_claims(word="inconclusive")
    result.stdout.fnmatch_lines(
        [
            "*= claims =*",
            "changed since the run of *",
            "  first (author runs): supported -> inconclusive",
            "Rethinking, section 1",
            "  first * author runs inconclusive",
            "Rethinking, section 3.2",
            "  second * author runs refuted",
            "  third * author runs inconclusive",
            "1 refuted, 2 inconclusive",
            "report: *claims.html",
        ]
    )
    assert "\x1b[" not in result.stdout.str()


def test_a_claim_that_is_placed_in_several_ways_is_one_line():
    from icl_claims.pytest_plugin.session_report import print_summary

    class Terminal:
        said = ""

        def write(self, text, **_markup):
            self.said += text

        def write_line(self, text, **_markup):
            self.said += text + "\n"

        def section(self, title):
            self.said += title + "\n"

    places = ["section 3.3", "section 3.3, figure 1", "section 3.3, reasons"]
    claims = [sample_record(name, where=where) for name, where in zip("aba", places, strict=True)]
    terminal = Terminal()
    print_summary(terminal, make_document(RUN, claims)["claims"], None)
    assert [line.split()[0] for line in terminal.said.splitlines()[2:]] == ["a", "b"]


def test_words_are_coloured_where_colour_is_asked_for(run_claims):
    result, _ = run_claims("--color=yes")
    assert "\x1b[32msupported" in result.stdout.str()
    assert "\x1b[31mrefuted" in result.stdout.str()


def test_a_quiet_run_says_only_the_counts(run_claims):
    result, _ = run_claims("-q", "-k", "first")
    result.stdout.fnmatch_lines(["1 supported", "report: *"])
    result.stdout.no_fnmatch_line("*section 1*")
    quieter, _ = run_claims("-qq", "-k", "first")
    quieter.stdout.no_fnmatch_line("report:*")


def test_junit_xml_carries_id_and_verdict(run_claims, pytester, monkeypatch):
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(autouse=True)
        def own(record_property):
            record_property("own", "kept")
        """
    )
    run_claims("--junitxml=junit.xml", "-o", "junit_family=xunit1")
    tests = ElementTree.parse(pytester.path / "junit.xml").getroot().iter("testcase")
    found = [{one.get("name"): one.get("value") for one in test.iter("property")} for test in tests]
    assert [(one["id"], one["verdict"], one["own"]) for one in found] == [
        ("first", "supported", "kept"),
        ("second", "refuted", "kept"),
        ("third", "inconclusive", "kept"),
    ]
    assert not any(name in one for one in found for name in ("claim", "pictures"))


PICTURES = """
    from icl_claims.claims import Verdict, rethinking

    COUNTS = {"shared": {"correct": 2, "incorrect": 1}}

    @rethinking.claim("first", where="section 1", on="author_runs")
    def test_first(request, evidence, decide):
        "Something holds."
        request.node.user_properties.append(("pictures", {"tiny": {"changes": {"cb": COUNTS, "mr": COUNTS}}}))
        decide(Verdict("supported", "Because."))

    @rethinking.claim("second", where="section 1", on="author_runs")
    def test_second(request, evidence, decide):
        "Something holds."
        request.node.user_properties.append(("pictures", {"tiny": {"changes": {"cb": COUNTS}, "values": {"cb": {}}}}))
        decide(Verdict("supported", "Because."))
"""


def test_pictures_that_tests_bring_are_merged_drawn_and_saved(pytester):
    pytester.makepyfile(PICTURES)
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "--claims-figures=figures", "--junitxml=junit.xml")
    reports = pytester.path / "reports"
    drawn = json.loads((reports / "claims.json").read_text(encoding="utf-8"))["pictures"]["tiny"]
    assert list(drawn["changes"]) == ["cb", "mr"]
    assert "values" in drawn
    assert "Changes of predictions" in (reports / "claims.html").read_text(encoding="utf-8")
    assert {path.name for path in (pytester.path / "figures").iterdir()} == {"changes-tiny.svg", "changes-tiny.pdf"}
    assert 'name="pictures"' not in (pytester.path / "junit.xml").read_text(encoding="utf-8")


def test_junit_xml_carries_the_effect(pytester):
    from icl_claims.pytest_plugin.records import junit_properties

    effect = {"estimate": 0.25, "low": 0.1, "high": 0.4, "kind": "rounding"}
    decided = {"verdict": "supported", "effect": effect}
    properties = [("claim", {"id": "some"}), ("verdict", decided), ("pictures", {})]
    wanted = {"id": "some", "verdict": "supported", "effect": 0.25, "effect_low": 0.1, "effect_high": 0.4}
    wanted["effect_kind"] = "rounding"
    assert dict(junit_properties(SimpleNamespace(failed=False, user_properties=properties))) == wanted


def test_a_report_that_cannot_be_written_fails_the_run(run_claims, pytester):
    pytester.path.joinpath("reports").write_text("in the way", encoding="utf-8")
    result, _ = run_claims("-k", "first")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*cannot be written*"])
