"""A verdict is reached once by one state of the code on one piece of evidence; every change makes it anew."""

from __future__ import annotations

import json
import os
import textwrap

import pytest

from icl_claims.pytest_plugin import verdict_cache
from icl_claims.pytest_plugin.verdict_cache import VerdictCache, default_verdicts, outdated_verdicts
from icl_claims.storage.checksummed import MANIFEST

CLAIMS = """
    import pathlib
    from icl_claims.claims import Verdict, rethinking

    @rethinking.claim("some-claim", where="section 1", on="{sources}")
    def test_claim(evidence, decide):
        'Something holds.'
        with pathlib.Path("decided").open("a") as file:
            file.write(".")
        decide(Verdict("{word}", "Because."))
"""
KNOWN = '[[refuted]]\nclaim = "some-claim"\nsource = "exact"\nreason = "explained elsewhere"\n'


@pytest.fixture
def run(pytester, monkeypatch):
    """Run a claim in a folder of its own; gives the result, the records and how often it was decided."""
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(pytester.path / "cache"))
    monkeypatch.delenv("ICL_CLAIMS_DATA", raising=False)

    def run(*options, word="supported", sources="exact"):
        pytester.makepyfile(CLAIMS.format(word=word, sources=sources))
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)
        claims = json.loads((pytester.path / "reports" / "claims.json").read_text(encoding="utf-8"))["claims"]
        decided = pytester.path / "decided"
        return result, claims, len(decided.read_text(encoding="utf-8")) if decided.exists() else 0

    return run


@pytest.mark.parametrize("word", ["supported", "refuted", "inconclusive"])
def test_the_second_run_tells_what_the_first_decided(run, word):
    first, [before], _ = run(word=word)
    second, [after], decided = run(word=word)
    assert decided == 1
    assert first.parseoutcomes() == second.parseoutcomes()
    assert first.ret == second.ret
    assert {**before, "seconds": 0} == {**after, "seconds": 0}
    second.stdout.fnmatch_lines(["1 as an earlier run of the same code decided (--claims-again decides them again)"])
    assert "as an earlier run" not in first.stdout.str()


def test_the_reader_can_have_it_decided_again(run):
    run()
    result, _, decided = run("--claims-again")
    assert decided == 2
    assert "as an earlier run" not in result.stdout.str()


def test_every_source_has_its_own_verdict(run):
    both = "printed author_runs"
    run(sources=both)
    _, claims, decided = run(sources=both)
    assert (len(claims), decided) == (2, 2)
    _, _, decided = run(sources="printed exact")
    assert decided == 4  # the file is another


@pytest.mark.parametrize("name", ["helper.py", "test_more.py"])
def test_code_beside_the_claim_makes_it_new(run, pytester, name):
    run()
    pytester.path.joinpath(name).write_text("A = 1\n", encoding="utf-8")
    assert run()[2] == 2


def test_the_words_of_a_claim_are_its_statement_and_make_it_new(run, pytester):
    run()
    pytester.path.joinpath("conftest.py").write_text('"""Words."""', encoding="utf-8")
    assert run()[2] == 2
    pytester.path.joinpath("conftest.py").write_text('"""Other words."""', encoding="utf-8")
    assert run()[2] == 3


def test_other_words_of_the_package_leave_it_other_code_does_not(run, monkeypatch, tmp_path):
    package = tmp_path / "icl_claims"
    package.mkdir()
    monkeypatch.setattr(verdict_cache.icl_claims, "__file__", str(package / "__init__.py"))
    for code, times in (('"""Words."""\nA = 1', 1), ('"""Others."""\nA = 1  # one', 1), ("A = 2", 2)):
        package.joinpath("room.py").write_text(code, encoding="utf-8")
        assert run()[2] == times


def test_a_library_of_another_version_makes_it_new(run, monkeypatch):
    run()
    monkeypatch.setattr(verdict_cache, "libraries", lambda: {"torch": "0.1"})
    assert run()[2] == 2


def test_another_seed_of_hypothesis_makes_it_new(run):
    run()
    assert run("--hypothesis-seed=3")[2] == 2


def test_the_package_itself_counts_as_code(run, monkeypatch, tmp_path):
    run()
    (tmp_path / "fixtures").mkdir()
    monkeypatch.setattr(verdict_cache, "fixtures_folder", lambda: tmp_path / "fixtures")
    assert run()[2] == 2


def test_a_refutation_that_becomes_known_is_told_as_known(run, pytester):
    first, [before], _ = run(word="refuted")
    first.assert_outcomes(failed=1)
    pytester.path.joinpath("known_refutations.toml").write_text(KNOWN, encoding="utf-8")
    second, [after], decided = run(word="refuted")
    second.assert_outcomes(xfailed=1)
    assert (before["known_refutation"], after["known_refutation"], decided) == ("", "explained elsewhere", 1)


@pytest.mark.parametrize("harm", ["", "{", "another"])
def test_what_is_damaged_is_decided_again_and_replaced(run, harm):
    run()
    [manifest] = default_verdicts().rglob(MANIFEST)
    if harm == "another":
        harm = manifest.read_text(encoding="utf-8").replace("supported", "refuted")
    manifest.write_text(harm, encoding="utf-8")
    result, _, decided = run()
    result.assert_outcomes(passed=1)
    assert decided == 2
    assert run()[2] == 2


def test_where_nothing_can_be_cached_claims_are_decided(run, pytester):
    (pytester.path / "cache").write_text("a file where a folder should be", encoding="utf-8")
    for times in (1, 2):
        result, _, decided = run()
        result.assert_outcomes(passed=1)
        assert decided == times


def test_workers_keep_and_tell_verdicts_too(run):
    run("-n1")
    result, _, decided = run("-n1")
    assert decided == 1
    result.stdout.fnmatch_lines(["1 as an earlier run*"])


def test_pictures_are_kept_by_evidence(tmp_path):
    kept = VerdictCache(tmp_path)
    kept.put_pictures("evidence", {"tiny": {"a": [1.5]}})
    kept.put_pictures("evidence", {"tiny": {"a": [1.5, 2.5]}})
    assert kept.pictures("evidence") == {"tiny": {"a": [1.5, 2.5]}}
    assert kept.pictures("other evidence") == {}


def test_the_verdicts_of_the_newest_code_are_not_outdated(monkeypatch, tmp_path):
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path))
    assert outdated_verdicts() == []
    for age, code in enumerate(("old", "new")):
        VerdictCache(default_verdicts() / code).put("test", "exact", "exact", {"verdict": "supported"})
        os.utime(default_verdicts() / code, (age, age))
    assert [folder.name for folder in outdated_verdicts()] == ["old"]


def test_code_of_every_claim_counts_whichever_test_comes_first(run, pytester):
    for folder, content in (
        ("first", "def test_other(): pass"),
        ("second", CLAIMS.format(word="supported", sources="exact")),
    ):
        pytester.mkdir(folder).joinpath(f"test_of_{folder}.py").write_text(textwrap.dedent(content), encoding="utf-8")
    decided = pytester.path / "decided"
    for helper, expected in (("", 1), ("", 1), ("A = 1", 2)):
        pytester.path.joinpath("second", "helper.py").write_text(helper, encoding="utf-8")
        pytester.runpytest_inprocess("-p", "no:cacheprovider", "first", "second")
        assert len(decided.read_text(encoding="utf-8")) == expected


def test_the_configuration_of_the_run_counts_as_code(run, pytester):
    run()
    pytester.makeconftest("SEED = 1")
    _, _, decided = run()
    assert decided == 2


def test_pictures_of_studies_that_are_not_run_again_are_kept(tmp_path):
    kept = VerdictCache(tmp_path / "kept")
    kept.put_pictures("evidence", {"tiny": {"changes": {"cb": {}}, "clip_sweep": {"cb": [1]}}})
    kept.put_pictures("evidence", {"tiny": {"changes": {"mr": {}}}})
    assert kept.pictures("evidence") == {"tiny": {"changes": {"cb": {}, "mr": {}}, "clip_sweep": {"cb": [1]}}}
