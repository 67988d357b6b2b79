"""What fresh draws and other specifications said is written beside the claims, read again, and told of each claim."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from icl_claims.claims.beside import REPLICATIONS, SPECIFICATIONS, Replicated, SpecificationCurve, Specified
from icl_claims.cli import deciding
from icl_claims.cli.deciding import keep
from icl_claims.cli.replicate import replicate_and_write
from icl_claims.cli.specifications import specify_and_write
from icl_claims.errors import ClaimError, UsageError
from icl_claims.experiments.profiles import Choices, find_profile
from icl_claims.pytest_plugin.fixtures import known_refutations
from icl_claims.tasks.catalogue import TASKS

ONE = Replicated("digest", 24, 6 * ("refuted",) + 2 * ("inconclusive",))


def _said(refuted, groups):
    return Replicated("digest", 24, refuted * ("refuted",) + (groups - refuted) * ("inconclusive",))


EFFECT = {"estimate": 0.1, "low": 0.0, "high": 0.2, "kind": "confidence sequence over draws"}
CURVE = SpecificationCurve(
    "digest", (Specified("one", "supported", True, EFFECT), Specified("two", "vacuous", False, None))
)


@pytest.mark.parametrize(("file", "entry"), [(REPLICATIONS, ONE), (SPECIFICATIONS, CURVE)])
def test_what_is_written_is_read_and_other_profiles_stay(tmp_path, file, entry):
    keep(file, tmp_path, "tiny", {"one": entry})
    keep(file, tmp_path, "embedded", {"one": entry, "two": entry})
    keep(file, tmp_path, "embedded", {"two": entry})
    assert file.read(tmp_path / file.name) == {("tiny", "one"): entry, ("embedded", "two"): entry}


@pytest.mark.parametrize("text", ["{", "[]", '{"tiny": {"one": {"groups": 8}}}'])
@pytest.mark.parametrize("file", [REPLICATIONS, SPECIFICATIONS])
def test_a_malformed_file_is_refused(tmp_path, file, text):
    (tmp_path / file.name).write_text(text)
    with pytest.raises(ClaimError, match=rf"malformed.*{file.command}"):
        file.read(tmp_path / file.name)


@pytest.mark.parametrize(("refuted", "refused"), [(6, True), (7, False), (8, False)])
def test_a_refutation_is_registered_only_where_it_replicates(tmp_path, refuted, refused):
    known_refutations.cache_clear()
    keep(REPLICATIONS, tmp_path, "tiny", {"one": _said(refuted, 8)})
    file = tmp_path / "known_refutations.toml"
    file.write_text('[[refuted]]\nclaim = "one"\nsource = "trials"\nprofile = "tiny"\nreason = "so"\n')
    if refused:
        with pytest.raises(ClaimError, match=r"does not replicate.*at least 80%.*got 6 of 8 groups of 24 draws"):
            known_refutations(file)
    else:
        assert known_refutations(file) == {("one", "trials", "tiny"): "so"}


@pytest.fixture
def run_claims(monkeypatch):
    """In place of runs of pytest: their options, and reports of what a function says of the claim `one`."""
    asked = []

    def say(record_of):
        def run(command, **_):
            options = dict(one.removeprefix("--claims-").split("=") for one in command if one.startswith("--claims-"))
            asked.append(options)
            trials = {"source": "trials", "rule_digest": "digest", "tasks": [], "effect": None}
            found = record_of(options, len(asked))
            records = found if "one" in found else {"one": found}
            claims = [{"id": claim, **trials, **record} for claim, record in records.items()]
            claims.append({"id": "exact", "source": "exact", "verdict": "x"})
            (Path(options["report"]) / "claims.json").write_text(json.dumps({"claims": claims}))
            return subprocess.CompletedProcess(command, 1, "", "")

        monkeypatch.setattr(deciding.subprocess, "run", run)
        return asked

    return say


def test_every_group_is_decided_on_draws_of_its_own_and_counted(tmp_path, run_claims, capsys):
    asked = run_claims(lambda _, number: {"verdict": "refuted" if number < 3 else "inconclusive"})
    replicate_and_write(tmp_path, "tiny", groups=3)
    tiny, task = find_profile("tiny"), TASKS["sst2"]
    groups = [Choices(tiny, first_seed=int(options["first-seed"])).runs(task) for options in asked]
    drawn = [draw for group in (*groups, Choices(tiny).runs(task)) for draw in group]
    assert len({*drawn}) == len(drawn) == 4 * 24
    assert REPLICATIONS.read(tmp_path / REPLICATIONS.name) == {("tiny", "one"): _said(2, 3)}
    told = capsys.readouterr().out
    assert "group 3 of 3" in told
    assert "different words of 66.7% of the claims, at most of 100.0%" in told


def test_every_specification_is_decided_and_one_that_changes_no_number_of_a_claim_is_none_of_its_curve(
    tmp_path, run_claims, capsys
):
    def record(options, _):
        one, two = {"verdict": "supported", "effect": EFFECT}, {"verdict": "vacuous", "effect": EFFECT}
        if "rates" in options:
            rate = json.loads(Path(options["rates"]).read_text())["tasks"]["sst2"]["learning_rate"]
            one["effect"] = EFFECT | {"estimate": rate}
        if "loss" in options:
            one = {"verdict": "refuted", "effect": EFFECT | {"estimate": -1.0}}
        if "k" in options:
            two["tasks"] = [{"task": "sst2", "difference": 0.5}]
        return {"one": one, "two": two}

    asked = run_claims(record)
    specify_and_write(tmp_path, "tiny")
    curves = SPECIFICATIONS.read(tmp_path / SPECIFICATIONS.name)
    said = {
        one.name: (one.verdict, one.effect["estimate"], one.default) for one in curves["tiny", "one"].specifications
    }
    assert said == {
        "as the profile stands": ("supported", 0.1, True),
        "half the learning rate": ("supported", 0.75, False),
        "twice the learning rate": ("supported", 3.0, False),
        "Loss of finetuning: label_only": ("refuted", -1.0, False),
    }
    of_two = [one.name for one in curves["tiny", "two"].specifications]
    assert of_two == ["as the profile stands", "8 demonstrations"]
    assert {"k": "8", "studies": "main,untrained,learning"}.items() <= asked[3].items()
    told = capsys.readouterr().out
    assert "as the profile stands: numbers of 2 of 2 claims" in told
    assert "8 demonstrations: numbers of 1 of 2 claims" in told
    assert "both: changes no number" in told


def test_a_claim_that_the_studies_do_not_answer_has_no_curve(tmp_path, run_claims):
    run_claims(lambda *_: {"verdict": "not run"})
    specify_and_write(tmp_path, "tiny")
    assert SPECIFICATIONS.read(tmp_path / SPECIFICATIONS.name) == {}


@pytest.mark.parametrize(
    "command", [lambda at: replicate_and_write(at, "tiny", groups=1), lambda at: specify_and_write(at, "tiny")]
)
def test_a_run_that_decides_nothing_is_an_error(tmp_path, monkeypatch, command):
    done = subprocess.CompletedProcess([], 4, "no such folder", "")
    monkeypatch.setattr(deciding.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(ClaimError, match=r"decided nothing.*no such folder"):
        command(tmp_path)


def test_the_authors_draws_are_no_fresh_ones(tmp_path):
    with pytest.raises(UsageError, match="authors' draws"):
        replicate_and_write(tmp_path, "paper", groups=1)
