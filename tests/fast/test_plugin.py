"""The plugin gives a claim its outcome, its words and its place in the report."""

import json
import re
from textwrap import dedent
from typing import get_args
from xml.etree import ElementTree

import pytest

from icl_claims.claims import Word
from icl_claims.report.verdicts import OF_WORD, REFUTING

CLAIM = """
    from icl_claims.claims import ON_MOST_TASKS, Comparison, Finding, Verdict, rethinking
    from icl_claims.methods import InContext
    from icl_claims.metrics import accuracy

    @rethinking.claim("some-claim", where="section 1", rule=ON_MOST_TASKS, on="{source}")
    def test_claim(evidence, decide):
        "Something <b>holds</b>."
        decide({decided})
"""
HOLDS = 'Comparison("a question", tuple(Finding(str(i), "holds", 1.0, 0.0, 1.0, 0.5, 1.5, 3, 10) for i in range(6)))'
FAILS = 'Comparison("a question", tuple(Finding(str(i), "fails", 0.0, 1.0, -1.0, -1.5, -0.5, 10) for i in range(6)))'
UNCLEAR = (
    'Comparison("a question", tuple(Finding(str(i), "unclear", low=-1.0, high=1.0, note="few") for i in range(6)))'
)
ABSENT = 'Comparison("a question", tuple(Finding(str(i), "absent", note="no GPU") for i in range(6)))'


@pytest.fixture
def run_claim(pytester, monkeypatch):
    """Run one claim in a folder of its own; gives the result and the claims of claims.json."""
    monkeypatch.delenv("ICL_CLAIMS_DATA", raising=False)

    def run(decided, *options, source="author_runs", known=""):
        pytester.makepyfile(CLAIM.format(source=source, decided=decided))
        if known:
            pytester.path.joinpath("known_refutations.toml").write_text(known, encoding="utf-8")
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)
        written = pytester.path / "reports" / "claims.json"
        claims = json.loads(written.read_text(encoding="utf-8"))["claims"] if written.exists() else []
        return result, claims

    return run


def known_as_refuted(source="author_runs"):
    return f'[[refuted]]\nclaim = "some-claim"\nsource = "{source}"\nreason = "explained elsewhere"\n'


def test_a_supported_claim_passes(run_claim):
    result, [claim] = run_claim(HOLDS)
    result.assert_outcomes(passed=1)
    assert claim["verdict"] == "supported"
    assert claim["rule"] == "holds on at least 4 of 6 tasks"
    assert (claim["statement"], claim["asks"]) == ("Something <b>holds</b>.", None)
    assert result.ret == 0


def test_a_refuted_claim_fails_and_says_why_without_a_traceback(run_claim):
    result, [claim] = run_claim(FAILS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*refuted: Holds on 0 and fails on 6 of 6 tasks, and 4 are needed.*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert claim["verdict"] == "refuted"
    assert result.ret == 1


def test_an_inconclusive_claim_is_its_own_word_and_not_a_failure(run_claim):
    result, [claim] = run_claim(UNCLEAR)
    result.stdout.fnmatch_lines(["*1 inconclusive*"])
    assert claim["verdict"] == "inconclusive"
    assert "few" in claim["why"]
    assert result.ret == 0


def test_a_claim_without_evidence_is_not_run(run_claim):
    result, [claim] = run_claim(ABSENT)
    result.stdout.fnmatch_lines(["*1 not run*"])
    assert (claim["verdict"], claim["why"]) == ("not run", "no GPU")
    assert result.ret == 0


def test_a_crash_is_an_error_and_never_a_verdict(run_claim):
    result, [claim] = run_claim("1 / 0")
    assert claim["verdict"] == "error"
    assert "ZeroDivisionError" in claim["why"]
    assert result.ret == 1


def test_a_known_refutation_is_an_expected_failure(run_claim):
    result, [claim] = run_claim(FAILS, known=known_as_refuted())
    result.assert_outcomes(xfailed=1)
    assert claim["verdict"] == "refuted"
    assert claim["known_refutation"] == "explained elsewhere"
    assert result.ret == 0


@pytest.mark.parametrize("decided", [HOLDS, UNCLEAR])
def test_a_known_refutation_that_is_refuted_no_more_fails(run_claim, decided):
    result, _ = run_claim(decided, known=known_as_refuted())
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*registered as refuted*"])


ASKS = """
    from icl_claims.claims import rethinking
    from icl_claims.methods import InContext
    from icl_claims.metrics import accuracy

    @rethinking.claim("some-claim", where="section 1", on="trials")
    def test_claim():
        "Something holds."
        return accuracy(InContext()) > 0.5
"""


def test_a_known_refutation_for_which_no_time_was_left_is_undecided(pytester, monkeypatch, tmp_path):
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path))
    pytester.makepyfile(dedent(ASKS))
    known = known_as_refuted("trials") + 'profile = "tiny"\n'
    pytester.path.joinpath("known_refutations.toml").write_text(known, encoding="utf-8")
    result = pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "-m", "not gpu", "--claims-no-more", "--claims-profile=tiny"
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*trials, tiny not run*"])
    [claim] = json.loads((pytester.path / "reports" / "claims.json").read_text(encoding="utf-8"))["claims"]
    assert claim["provenance"]["draws"] == "0; no more was to be run"


SAYS = """
    from icl_claims.claims import Verdict, rethinking

    @rethinking.claim("some-claim", where="section 1", on="author_runs")
    def test_claim(evidence, decide):
        "Something holds."
        decide(Verdict({word!r}, "Because."))
"""
OUTCOMES = {
    "supported": ("passed", 0),
    "consistent": ("passed", 0),
    "refuted": ("failed", 1),
    "inconsistent": ("failed", 1),
    "vacuous": ("vacuous", 0),
    "inconclusive": ("inconclusive", 0),
    "not run": ("not run", 0),
}


@pytest.fixture
def run_word(pytester):
    """Run a claim that gets a word, known as refuted or not; gives the result and what JUnit XML says of it."""

    def run(word, known=""):
        pytester.makepyfile(SAYS.format(word=word))
        pytester.path.joinpath("known_refutations.toml").write_text(known, encoding="utf-8")
        options = ("-p", "no:cacheprovider", "-v", "--junitxml=junit.xml", "-o", "junit_family=xunit1")
        result = pytester.runpytest_inprocess(*options)
        [case] = ElementTree.parse(pytester.path / "junit.xml").getroot().iter("testcase")
        return result, case

    return run


@pytest.mark.parametrize("word", get_args(Word))
def test_every_word_has_its_outcome_and_its_name_in_the_terminal(run_word, word):
    result, case = run_word(word)
    counted, status = OUTCOMES[word]
    assert result.ret == status
    result.stdout.fnmatch_lines([f"*{word.upper()}*", f"1 {word}", f"*1 {counted}*"])
    skipped = case.find("skipped")
    assert (skipped is None) == (OF_WORD[word].test != "skipped")
    if skipped is not None:
        assert skipped.get("message") == f"{word}: Because."


@pytest.mark.parametrize("word", get_args(Word))
def test_a_known_refutation_is_met_by_words_that_refute_alone(run_word, word):
    result, case = run_word(word, known_as_refuted())
    if word not in REFUTING:
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines([f"*{word}, but it is registered as refuted (explained elsewhere)*"])
        result.stdout.no_fnmatch_line("*as known*")
        return
    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines([f"*{word.upper()}, AS KNOWN*", f"*author runs {word} (as known)"])
    assert case.find("skipped").get("type") == "pytest.xfail"
    told = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert (told["verdict"], told["known_refutation"]) == (word, "explained elsewhere")


def test_a_known_refutation_of_another_source_does_not_excuse(run_claim):
    result, _ = run_claim(FAILS, known=known_as_refuted("trials"))
    result.assert_outcomes(failed=1)


def test_a_malformed_list_of_known_refutations_is_a_named_error(run_claim):
    result, [claim] = run_claim(FAILS, known="[[refuted]]\nclaim = 'some-claim'\n")
    assert claim["verdict"] == "error"
    result.stdout.fnmatch_lines(["*known_refutations.toml is malformed*"])


def test_every_claim_of_the_report_has_what_a_program_needs(run_claim):
    _, [claim] = run_claim(HOLDS)
    wanted = {"id", "source", "paper", "where", "statement", "rule", "verdict", "tasks", "provenance"}
    assert wanted <= set(claim)
    finding = {
        "task": "0",
        "outcome": "holds",
        "left": 1.0,
        "right": 0.0,
        "difference": 1.0,
        "low": 0.5,
        "high": 1.5,
        "queries": 10,
        "note": "",
    }
    assert claim["tasks"][0].items() >= finding.items()


def test_the_page_escapes_statements_and_loads_nothing(run_claim, pytester):
    run_claim(HOLDS)
    page = (pytester.path / "reports" / "claims.html").read_text(encoding="utf-8")
    assert "Something &lt;b&gt;holds&lt;/b&gt;." in page
    assert not re.search(r'(src|href)="(https?:)?//', page)


def test_the_report_goes_where_the_reader_says(run_claim, pytester):
    run_claim(HOLDS, "--claims-report", "elsewhere")
    assert (pytester.path / "elsewhere" / "claims.json").is_file()
    assert not (pytester.path / "reports").exists()


def test_a_run_on_two_workers_reports_the_same_claims(run_claim):
    _, [alone] = run_claim(HOLDS)
    _, [shared] = run_claim(HOLDS, "-n", "2")
    assert {k: v for k, v in alone.items() if k != "seconds"} == {k: v for k, v in shared.items() if k != "seconds"}


def test_trials_at_the_papers_scale_are_not_run_without_cuda(run_claim, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result, [claim] = run_claim("evidence.ask(accuracy(InContext()) > 0.5)", "-m", "gpu", source="trials")
    assert (claim["verdict"], claim["profile"]) == ("not run", "paper")
    assert "no CUDA device" in claim["why"]
    assert result.ret == 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--claims-profile=enormous", "Unknown profile*embedded*"),
        ("--claims-tasks=sst2,imdb", "The task is unknown*sst2*'imdb'*"),
        ("--claims-seeds=one", "*--claims-seeds*'one'*"),
        ("--claims-k=0", "*--claims-k*at least 1*"),
        ("--claims-dtype=int3", "*--claims-dtype*float32*'int3'*"),
        ("--claims-probe=end", "*--claims-probe has no such value: expected label_token or template_end, got 'end'*"),
        ("--claims-rates=/nowhere", "*--claims-rates*/nowhere*"),
        ("--claims-queries=-3", "*--claims-queries*at least 1*"),
        ("--claims-data=/nowhere", "The data directory*a folder*--claims-data*"),
    ],
)
def test_a_senseless_option_is_refused_before_anything_runs(run_claim, option, message):
    result, claims = run_claim(HOLDS, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{message}"])
    assert not claims


def test_an_unknown_model_is_an_error_with_advice(run_claim):
    asked = "evidence.ask(accuracy(InContext()) > 0.5)"
    result, [claim] = run_claim(asked, "--claims-model", "gpt17", "-m", "not gpu", source="trials")
    assert claim["verdict"] == "error"
    result.stdout.fnmatch_lines(
        ["*expected embedded, tiny, path:DIR, hub:NAME, gguf:FILE or fairseq:DIR, got 'gpt17'*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_project_without_claims_is_left_alone(pytester):
    pytester.makepyfile("def test_something(): pass")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*claims.html*")
    assert not (pytester.path / "reports").exists()


def test_the_plugin_imports_nothing_heavy_until_a_claim_asks(pytester):
    pytester.makepyfile(
        """
        import sys

        def test_light():
            assert not {"torch", "transformers", "scipy", "pandas"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
