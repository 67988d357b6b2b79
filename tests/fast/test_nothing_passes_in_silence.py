"""What would pass without a word is an error, or is said: names of nothing, no decision, tasks that were not run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from icl_claims.claims import GENERALLY, ON_AVERAGE, Comparison, Finding, at_least, nulls_of
from icl_claims.errors import ClaimError, StoreError, UsageError
from icl_claims.evidence.trials import TrialsEvidence
from icl_claims.experiments.profiles import PROFILES, Choices, Profile
from icl_claims.methods import Finetuning, InContext, LayerCausal, SwitchedLabels
from icl_claims.metrics import RANDOM_UPDATE, accuracy, drift, sim_am, sim_aou
from icl_claims.pytest_plugin.claims_of_folder import collect_claims
from icl_claims.pytest_plugin.fixtures import known_refutations
from icl_claims.report.page import render_page
from icl_claims.report.words import limit_of_tasks
from icl_claims.storage.files import cache_folder
from icl_claims.storage.store import entries
from tests.fast.sample_claims import sample_document

FT, LC = Finetuning(), LayerCausal()
IMPORTS = """
    import pytest
    from icl_claims.claims import Comparison, Finding, Paper, Verdict, at_least, rethinking
    from icl_claims.methods import AnotherQuerysUpdate, Clipping, Finetuning, GaussianUpdate, LayerCausal
    from icl_claims.metrics import RANDOM_UPDATE, drift, kendall, sim_am, sim_aou

    FT, LC = Finetuning(), LayerCausal()
"""
ONE = """
    @rethinking.claim("one-of-a-kind", where="table 2", on="{on}")
    def test_a_name_of_its_own({fixtures}):
        "Something holds."
        {body}
"""


@pytest.fixture
def run_one(pytester):
    """Run a claim that asks something, or has a body; gives the result and its records."""

    def run(body, *options, on="printed", fixtures="", more="", within=pytester.runpytest_inprocess):
        pytester.makepyfile(dedent(IMPORTS) + dedent(ONE.format(on=on, fixtures=fixtures, body=body)) + dedent(more))
        result = within("-p", "no:cacheprovider", *options)
        written = pytester.path / "reports" / "claims.json"
        return result, json.loads(written.read_text(encoding="utf-8"))["claims"] if written.exists() else []

    return run


# Names of nothing


@pytest.mark.parametrize(
    "asked",
    [
        "drift(FT) > drift(GaussianUpdate(LC))",
        "sim_aou(LC) > sim_aou(FT), sim_aou(FT) > sim_aou(FT).of_weights('embedings')",
    ],
)
def test_what_no_trial_measures_is_refused_before_the_run(run_one, asked):
    result, claims = run_one(f"return {asked}", on="printed trials")
    assert (result.ret, claims) == (pytest.ExitCode.USAGE_ERROR, [])
    result.stderr.fnmatch_lines(["*test_a_name_of_its_own*No trial measures what is asked: expected * of finetuning,*"])


def test_a_task_that_is_nowhere_is_refused_before_the_run(run_one):
    result, claims = run_one("return (sim_aou(LC) > sim_aou(FT)).on('subjj')")
    assert (result.ret, claims) == (pytest.ExitCode.USAGE_ERROR, [])
    result.stderr.fnmatch_lines(["*test_a_name_of_its_own*The task is unknown*sst2*got 'subjj'*"])


def test_beside_a_question_trials_are_asked_for_nothing_unknown():
    evidence = TrialsEvidence({"main": {}})
    with pytest.raises(ClaimError, match=r"measures no sim_am of random_update: expected sim_am of zero_shot, "):
        evidence.answers(sim_am(FT) > sim_am(RANDOM_UPDATE))


@pytest.mark.parametrize("layers", [(0.5, 0.5), (0.7, 0.2), (0.0, 1.5), (-0.1, 0.5)])
def test_a_part_of_the_depth_that_is_none_is_refused(layers):
    with pytest.raises(ClaimError, match="No part of a model's depth: expected two shares from 0 to 1"):
        sim_aou(FT).at(layers)


def test_a_study_that_a_profile_names_is_known():
    profile = Profile(
        "mine", "tiny", 4, 8, 1, "own", "none", PROFILES["tiny"].learning_rates, studies=("main", "labells")
    )
    with pytest.raises(UsageError, match=r"Unknown study: expected one of main, updates.*got 'labells'"):
        Choices(profile).chosen_studies()


@pytest.mark.parametrize("entry", ["source = 'print'", "source = 'trials'\nprofile = 'tiney'", "source = 'trials'"])
def test_a_refutation_registered_for_nothing_is_refused(tmp_path, entry):
    file = tmp_path / "known_refutations.toml"
    file.write_text(f"[[refuted]]\nclaim = 'other'\nreason = 'explained'\n{entry}\n", encoding="utf-8")
    with pytest.raises(
        ClaimError, match="registers other for nothing that there is: expected a source of exact, printed"
    ):
        known_refutations(file)


# No decision


def test_a_claim_that_decides_nothing_is_an_error(run_one):
    result, [claim] = run_one("assert evidence", fixtures="evidence, decide")
    result.assert_outcomes(failed=1)
    assert claim["verdict"] == "error"
    result.stdout.fnmatch_lines(["*The test of the claim one-of-a-kind ended and decided nothing*`decide`*"])


def test_a_claim_may_still_be_skipped(run_one):
    run_one("pytest.skip('not today')", fixtures="evidence, decide")[0].assert_outcomes(skipped=1)


# Tasks that were not run


def decided(rule, *outcomes):
    tasks = [Finding(f"t{number}", outcome) for number, outcome in enumerate(outcomes)]
    return rule.decide(Comparison("a question", (*tasks, Finding("all tasks", "unclear"))))


@pytest.mark.parametrize(
    ("outcomes", "word", "refuted"),
    [
        (("holds", "holds"), "inconclusive", ""),
        (("fails", "holds"), "inconclusive", ", 1 of them against it"),
        (("fails", "unclear"), "inconclusive", ", 1 of them against it. It would be refuted if 1 more failed"),
        (("fails", "fails"), "refuted", ", 2 of them against it"),
    ],
)
def test_two_tasks_cannot_support_a_claim_about_five(outcomes, word, refuted):
    verdict = decided(GENERALLY, *outcomes, *["absent"] * 4)
    wanted = f"It cannot be supported here: it is about 5 of 6 tasks, and 2 have evidence{refuted}."
    assert (verdict.word, verdict.would_change) == (word, wanted)


def test_what_could_still_be_supported_is_told_how():
    assert "It would be supported if" in decided(GENERALLY, *["holds"] * 4, "unclear", "absent").would_change
    assert (
        "5 of 6 tasks and the mean over 6" in decided(at_least(5, overall=True), *["holds"] * 5, "absent").would_change
    )
    assert (
        "3 of 6 tasks, and 3 have evidence, 1 of"
        in decided(at_least(3), "holds", "holds", "fails", *["absent"] * 3).would_change
    )
    assert "about the mean over 6, and 5 have" in decided(ON_AVERAGE, *["holds"] * 5, "absent").would_change


def test_a_run_of_some_tasks_says_first_what_it_cannot_do(run_one):
    limit = (
        "Trials of 2 of the papers' 6 tasks (SST2, CB): claims about more tasks, or about the mean over all, cannot*"
    )
    result, _ = run_one("return sim_aou(LC) > sim_aou(FT)", "--claims-tasks", "sst2,cb")
    result.stdout.fnmatch_lines(["*test session starts*", limit, "*collected*"])
    assert limit_of_tasks([]) == limit_of_tasks(["sst2", "sst5", "mr", "subj", "agnews", "cb"]) == ""


def test_the_page_says_in_its_head_what_some_tasks_cannot_do():
    document = sample_document(claims=2)
    assert "cannot be supported" not in render_page(document, {}).partition("</header>")[0]
    document["run"]["options"]["tasks"] = "sst2, cb"
    assert "tasks (SST2, CB): claims about more tasks" in render_page(document, {}).partition("</header>")[0]


# Nulls


@pytest.mark.parametrize(
    ("similarity", "todo"),
    [
        (sim_am(SwitchedLabels(FT, "cyclic")), "Ask for those of finetuning"),
        (sim_am(InContext()), "Leave `nulls_of` out"),
        (sim_am(RANDOM_UPDATE), "Leave `nulls_of` out"),
        (drift(FT), "Leave `nulls_of` out"),
        (accuracy(FT), "Leave `nulls_of` out"),
    ],
)
def test_nulls_that_there_are_not_are_refused(similarity, todo):
    with pytest.raises(
        ClaimError, match=rf"There are no nulls: expected a similarity .*, got {similarity.title}. {todo}"
    ):
        nulls_of(similarity)


# Finding a claim


def test_a_claim_is_selected_by_its_id(run_one):
    other = """
        @rethinking.claim("other", where="table 2", on="printed")
        def test_other():
            "Something else holds."
            return sim_am(LC) < sim_am(FT)
    """
    result, claims = run_one("return sim_am(LC) < sim_am(FT)", "-k", "one-of-a-kind and printed", more=other)
    result.assert_outcomes(passed=1, deselected=1)
    assert [claim["id"] for claim in claims] == ["one-of-a-kind"]


def test_the_list_names_tests_that_pytest_finds(run_one, pytester, monkeypatch):
    run_one("return sim_am(LC) < sim_am(FT)", "--collect-only", on="printed author_runs")
    monkeypatch.chdir(pytester.path.parent)
    (claim,) = collect_claims(pytester.path).claims.values()
    (test,) = claim["tests"]
    assert test.endswith(".py::test_a_name_of_its_own")
    found, _ = pytester.inline_genitems(str(Path(test).absolute()))
    assert len(found) == 2


# Other projects, other ways to run


def test_a_mark_of_another_project_is_left_alone(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.claim("4711")
        @pytest.mark.parametrize("evidence", ["a photo"])
        def test_of_an_insurance(evidence):
            assert evidence == "a photo"
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    assert not (pytester.path / "reports").exists()


def test_a_plan_of_fixtures_leaves_the_report_alone(run_one, pytester):
    run_one("return sim_am(LC) < sim_am(FT)")
    report = pytester.path / "reports" / "claims.json"
    before = report.read_bytes()
    _, [claim] = run_one("return sim_am(LC) < sim_am(FT)", "--setup-plan")
    assert (claim["verdict"], report.read_bytes()) == ("consistent", before)


@pytest.mark.parametrize(("flag", "told"), [("-O", "1 passed"), ("-OO", "Run Python without -OO")])
def test_python_without_its_asserts_or_docstrings(pytester, flag, told):
    pytester.makepyfile(dedent(IMPORTS) + dedent(ONE).format(on="printed", fixtures="", body="return sim_am(LC) < 1.0"))
    configuration = Path(__file__).parents[2] / "pyproject.toml"
    options = ("-p", "no:cacheprovider", "-c", str(configuration), "--rootdir", str(pytester.path), str(pytester.path))
    run = subprocess.run(
        [sys.executable, flag, "-m", "pytest", *options], capture_output=True, text=True, cwd=pytester.path, check=False
    )
    assert told in run.stdout


def test_a_user_without_a_home_is_told_to_name_a_folder(monkeypatch):
    def nowhere(*_args, **_kwargs):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ICL_CLAIMS_CACHE", raising=False)
    monkeypatch.setattr("icl_claims.storage.files.user_cache_path", nowhere)
    with pytest.raises(StoreError, match=r"no place for a cache.*Set ICL_CLAIMS_CACHE to a folder"):
        cache_folder()


def test_a_cache_of_somebody_else_is_a_named_error(monkeypatch, tmp_path):
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", denied)
    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(StoreError, match=r"cannot be read, got Permission denied\. Set ICL_CLAIMS_CACHE"):
        entries(tmp_path)
