"""The registry of rules: what a digest follows from, since when git says that a rule stands, and what records say."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from claims.follow_ups import test_deutch_on_tasks
from icl_claims import cli
from icl_claims.claims.registry import (
    IN_SIGHT,
    REGISTRY,
    Registered,
    in_sight,
    parsed_registry,
    registered_rules,
    registry_text,
    rule_digest,
    rule_tests,
    updated,
)
from icl_claims.claims.rule_history import History, standing_since, unproven_dates
from icl_claims.errors import ClaimError
from icl_claims.pytest_plugin.claims_of_folder import collect_claims

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "claims"
DECLARED = '''
"""A section."""
from icl_claims.claims import GENERALLY, Paper, at_least, nulls_of
from icl_claims.methods import Finetuning, LayerCausal
from icl_claims.metrics import sim_am, sim_aou
from ..shared import MARGIN, TASKS

FT, LC = Finetuning(), LayerCausal()


@Paper("note", "A note").claim("one", where="section 1", rule=at_least(1, of=2), on="trials")
def test_one():
    """A statement."""
    return (sim_aou(LC).near(sim_aou(FT), within=MARGIN) & (sim_am(LC) > sim_am(FT))).on(*TASKS), sim_am(LC) > 0.0
'''
WITH_BODY = '''
from icl_claims.claims import CaseRule, Comparison, Finding, Paper
from ..shared import holds

NAMES = ("a", "b")


@Paper("note", "A note").claim("one", where="section 1", rule=CaseRule("in each"), on="printed author_runs")
def test_one(evidence, decide):
    """A statement."""
    decide(Comparison("a question", tuple(of_case(name) for name in NAMES), None))


@test_one.claim.needs("a condition")
def test_needs(evidence, decide):
    """Another."""
    decide(Comparison("another question", (of_case("c"),), None))


def of_case(name):
    """Words."""
    return Finding(name, holds(1))


def unused():
    return 1
'''
SHARED = """
MARGIN, TASKS = 0.1, ("sst2", "cb")
LEAST = 0


def holds(number):
    return "holds" if number > LEAST else "fails"
"""
ALONE = WITH_BODY.replace("from ..shared import holds", "holds = lambda number: 'holds'")
REPOSITORY = "kept_in_git"
_numbers = itertools.count()


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """The digest of the claim in a module that stands in a package, some texts of it replaced."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def of(text, *changes):
        package = f"rules_lab{next(_numbers)}"
        files = {"__init__.py": "", "shared.py": SHARED, "inner/__init__.py": "", "inner/test_it.py": text}
        for name, content in files.items():
            for old, new in changes:
                content = content.replace(old, new)
            (tmp_path / package / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / package / name).write_text(content, encoding="utf-8")
        importlib.invalidate_caches()
        module = importlib.import_module(f"{package}.inner.test_it")
        (claim,) = {id(one.claim): one.claim for name, one in vars(module).items() if name.startswith("test_")}.values()
        return rule_digest(claim, module)

    return of


# Digests


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("A statement.", "Other words.", False),
        ("section 1", "table 2", False),
        (", sim_am(LC) > 0.0", "", False),
        ("def test_one", "def test_two", False),
        ('("one"', '("two"', True),
        ("at_least(1, of=2)", "at_least(2, of=2)", True),
        ("rule=at_least(1, of=2), ", "", True),
        ("> sim_am(FT)", "< sim_am(FT)", True),
        ("LayerCausal()", "LayerCausal(update='sequential')", True),
        ("MARGIN, TASKS = 0.1", "MARGIN, TASKS = 0.2", True),
        ('"cb"', '"subj"', True),
        ("(sim_am(LC) > sim_am(FT))", "(sim_am(LC) > sim_am(FT)).where_known", True),
        ("sim_am(FT))", "sim_am(FT).at((0, 0.3)))", True),
        ("sim_am(FT)", "sim_aou(FT)", True),
    ],
)
def test_the_digest_of_a_question_follows_from_all_that_decides(digest, old, new, counts):
    assert (digest(DECLARED, (old, new)) != digest(DECLARED)) == counts


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("A statement.", "Other words.", False),
        ("Another.", "Other words.", False),
        ('"""Words."""', "# words", False),
        ("section 1", "table 2", False),
        ("return 1\n", "return 2\n", False),
        ("def test_needs", "def test_cases", False),
        ("in each", "in most", True),
        ('("a", "b")', '("a",)', True),
        ('of_case("c")', 'of_case("d")', True),
        ("holds(1)", "holds(2)", True),
        ("LEAST = 0", "LEAST = 1", True),
        ("number > LEAST", "number >= LEAST", True),
        ("MARGIN", "LIMIT", False),
    ],
)
def test_the_digest_of_a_body_follows_from_its_code_and_what_that_uses(digest, old, new, counts):
    assert (digest(WITH_BODY, (old, new)) != digest(WITH_BODY)) == counts


# The file


def test_the_registry_is_read_as_it_was_written():
    entries = {"one": Registered("ab", date(2026, 1, 2), "cd"), "two words": Registered("ef", date(2026, 1, 3))}
    assert parsed_registry(registry_text(entries), "here") == entries


@pytest.mark.parametrize("text", ["[one", "[one]\ndigest = 'a'", "[one]\ndigest = 'a'\nsince = 'then'", "one = 1"])
def test_a_malformed_registry_is_a_named_error(text):
    with pytest.raises(ClaimError, match="here is malformed: expected a table of digest and since"):
        parsed_registry(text, "here")


# The history


@pytest.fixture
def repository(tmp_path):
    """Commit files of a repository on a day of January 2026; gives the commit."""

    def git(*arguments, day=1):
        then = f"2026-01-{day:02}T23:30:00-05:00"
        dates = {"GIT_AUTHOR_DATE": "2025-01-01T00:00:00+00:00", "GIT_COMMITTER_DATE": then}
        names = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        command = ["git", "-C", str(tmp_path), *arguments]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=os.environ | dates | names
        ).stdout.strip()

    def commit(day, **files):
        for name, text in files.items():
            path = tmp_path / REPOSITORY / name.replace("__", "/")
            path = path if path.suffix else path.with_suffix(".py")
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(text, encoding="utf-8")
        git("add", ".")
        git("commit", "-q", "--allow-empty", "-m", "words", day=day)
        return git("rev-parse", "HEAD")

    git("init", "-q")
    return commit


@pytest.fixture
def stand(tmp_path, monkeypatch):
    """The day since when the claim in the repository stands; None if the newest commit has another one."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def since():
        for name in [name for name in sys.modules if name.partition(".")[0] == REPOSITORY]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        module = importlib.import_module(f"{REPOSITORY}.a.test_it")
        found = standing_since(tmp_path / REPOSITORY, {"one": rule_tests(module.test_one.claim, module)}).get("one")
        return found and found.day.day

    return since


@pytest.mark.parametrize("text", [DECLARED, WITH_BODY])
def test_a_rule_stands_since_the_oldest_commit_that_has_it(repository, stand, text):
    repository(1, shared=SHARED, a__test_it=text.replace("section 1", "nowhere").replace("A statement", "Words"))
    repository(3, a__test_it=text)
    assert stand() == 2  # in UTC
    repository(5, a__test_it=text.replace("of=2", "of=3").replace("in each", "in most"))
    repository(7, a__test_it=text)
    assert stand() == 8
    repository(9, shared=SHARED.replace("0.1", "0.2").replace("LEAST = 0", "LEAST = 1"))
    assert stand() == 10


def test_a_moved_rule_stands_since_it_moved_and_an_uncommitted_one_not_yet(repository, stand, tmp_path):
    repository(1, shared=SHARED, b__test_it=DECLARED)
    (tmp_path / REPOSITORY / "b/test_it.py").unlink()
    repository(3, a__test_it=DECLARED)
    assert stand() == 4
    (tmp_path / REPOSITORY / "a/test_it.py").write_text(DECLARED.replace("of=2", "of=3"), encoding="utf-8")
    assert stand() is None


def test_a_date_before_its_digest_was_registered_is_found(repository, tmp_path):
    path = tmp_path / REPOSITORY / REGISTRY
    first = repository(3, other="")
    rows = {"late": Registered("aa", date(2026, 1, 6)), "first": Registered("bb", date(2026, 1, 4), first)}
    repository(5, **{REGISTRY: registry_text(rows)})
    assert unproven_dates(path) == []
    rows["late"] = Registered("cc", date(2026, 1, 6))
    rows |= {"early": Registered("bb", date(2026, 1, 3), first), "none": Registered("bb", date(2026, 1, 4), "f" * 40)}
    repository(7, **{REGISTRY: registry_text(rows)})
    repository(9, other="1")
    assert [problem[:26] for problem in unproven_dates(path)] == [
        "late: 2026-01-06 is before",
        "early: 2026-01-03 is befor",
        "none: no commit ffffffffff",
    ]
    path.write_text(registry_text({"new": Registered("dd", date(2026, 1, 9))}), encoding="utf-8")
    assert unproven_dates(path) == ["new: 2026-01-09 is before 2026-01-10"]


def test_a_folder_without_a_repository_has_no_history(tmp_path):
    assert not History(tmp_path)
    assert History(tmp_path).commits() == []


# The command


@pytest.fixture
def rules(tmp_path, monkeypatch, capsys):
    """Run `icl-claims rules` on a folder with a claim; gives its exit code, and what it prints."""
    (tmp_path / "own").mkdir()

    def run(*arguments, text=ALONE):
        name = f"test_rules_{next(_numbers)}.py"
        for old in (tmp_path / "own").glob("test_*.py"):
            old.unlink()
        (tmp_path / "own" / name).write_text(text, encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["icl-claims", "rules", *map(str, arguments or [tmp_path / "own"])])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr()
        return left.value.code or 0, printed.out + printed.err

    return run


def test_rules_are_registered_with_the_day_and_keep_it(rules, tmp_path):
    own = tmp_path / "own"
    changed = ALONE.replace("'holds'", "'fails'")
    code, out = rules()
    assert (code, "new" in out, "icl-claims rules --write" in out) == (1, True, True)
    assert rules(own, "--write", "--today", "2026-01-02")[0] == 0
    assert rules(own, "--write", "--today", "2026-01-03")[0] == 0
    assert str(registered_rules(own / REGISTRY)["one"].since) == "2026-01-02"
    (entry,) = json.loads(rules(own, "--json", text=changed)[1])
    assert (entry["id"], entry["since"], entry["state"]) == ("one", "2026-01-02", "changed")
    other = changed.replace('"one"', '"other"')
    gone, new = json.loads(rules(own, "--json", text=other)[1])
    assert (gone["state"], new["state"]) == ("gone", "new")
    rules(own, "--write", "--today", "2026-01-04", text=other)
    assert {name: str(one.since) for name, one in registered_rules(own / REGISTRY).items()} == {"other": "2026-01-04"}


def test_a_registry_above_the_folder_is_not_doubled(rules, tmp_path):
    (tmp_path / REGISTRY).write_text("", encoding="utf-8")
    code, out = rules(tmp_path / "own", "--write")
    assert (code, "are registered in" in out) == (2, True)
    assert not (tmp_path / "own" / REGISTRY).exists()


# Records


def test_records_say_since_when_a_rule_stands_and_what_was_in_sight(pytester, monkeypatch):
    def records(text):
        pytester.makepyfile(test_it=text)
        pytester.runpytest_inprocess("-p", "no:cacheprovider")
        claims = json.loads((pytester.path / "reports/claims.json").read_text(encoding="utf-8"))["claims"]
        return {(one["source"], one["rule_since"], one["rule_in_sight"]) for one in claims}, claims[0]["rule_digest"]

    found, digest = records(ALONE)
    assert found == {("printed", "", IN_SIGHT), ("author_runs", "", IN_SIGHT), ("exact", "", "")}
    pytester.path.joinpath(REGISTRY).write_text(f"[one]\ndigest = '{digest}'\nsince = 2026-01-02", encoding="utf-8")
    assert {since for _, since, _ in records(ALONE)[0]} == {""}  # it is not the whole of it
    (claim, module) = collect_claims(pytester.path).declared()["one"]
    monkeypatch.delitem(sys.modules, "test_it")  # as the runs in here forget it
    entries = updated({}, {"one": rule_digest(claim, module)}, date(2026, 1, 2))
    pytester.path.joinpath(REGISTRY).write_text(registry_text(entries), encoding="utf-8")
    assert {since for _, since, _ in records(ALONE)[0]} == {"2026-01-02"}
    read_off = records(ALONE.replace('where="section 1"', 'where="section 1", read_off="It was read off them"'))[0]
    assert {said for source, _, said in read_off if source != "exact"} == {"It was read off them"}
    assert {since for _, since, _ in read_off} == {"2026-01-02"}
    assert {since for _, since, _ in records(ALONE.replace("in each", "in most"))[0]} == {""}


# The project


def test_the_rules_of_the_projects_claims_are_registered():
    program = [sys.executable, "-c", "from icl_claims.cli import main; main()", "rules", str(CLAIMS), "--json"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=ROOT)
    entries = json.loads(done.stdout)
    assert len(entries) > 20
    assert not [entry for entry in entries if entry["state"] != "stands"], "Run `icl-claims rules --write`"


def test_no_rule_is_dated_earlier_than_git_shows():
    if not History(CLAIMS):
        pytest.skip("There is no git history here, or not all of it: the dates of rules were not checked.")
    todo = "Remove these entries from claims/rules.toml, and run `icl-claims rules --write`"
    assert not unproven_dates(CLAIMS / REGISTRY), todo


def test_the_claim_that_was_read_off_its_own_evidence_says_so():
    claim = test_deutch_on_tasks.test_layers_in_which_standard_finetuning_is_ahead.claim
    assert "read off the authors' runs" in in_sight(claim, "author_runs")
