"""What fresh draws said of a claim is written beside the claims, read again, and holds registered refutations to it."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from icl_claims.claims.replications import REPLICATIONS, Replicated, read_replications, written
from icl_claims.cli import replicate
from icl_claims.errors import ClaimError, UsageError
from icl_claims.pytest_plugin.fixtures import known_refutations

ONE = Replicated(8, 24, {"refuted": 6, "inconclusive": 2})


@pytest.fixture(autouse=True)
def forget():
    read_replications.cache_clear()
    known_refutations.cache_clear()


def test_what_is_written_is_read_and_other_profiles_stay(tmp_path):
    file = tmp_path / REPLICATIONS
    file.write_text(written(file, "tiny", {"one": ONE}))
    file.write_text(written(file, "embedded", {"one": Replicated(2, 12, {"supported": 2})}))
    read_replications.cache_clear()
    assert read_replications(file)["tiny", "one"] == ONE
    assert {profile for profile, _ in read_replications(file)} == {"tiny", "embedded"}


@pytest.mark.parametrize("text", ["{", "[]", '{"tiny": {"one": {"groups": 8}}}'])
def test_a_malformed_file_is_refused(tmp_path, text):
    (tmp_path / REPLICATIONS).write_text(text)
    with pytest.raises(ClaimError, match="malformed"):
        read_replications(tmp_path / REPLICATIONS)


@pytest.mark.parametrize(("refuted", "refused"), [(6, True), (7, False), (8, False)])
def test_a_refutation_is_registered_only_where_it_replicates(tmp_path, refuted, refused):
    (tmp_path / REPLICATIONS).write_text(
        written(tmp_path / REPLICATIONS, "tiny", {"one": Replicated(8, 24, {"refuted": refuted})})
    )
    file = tmp_path / "known_refutations.toml"
    file.write_text('[[refuted]]\nclaim = "one"\nsource = "trials"\nprofile = "tiny"\nreason = "so"\n')
    if refused:
        with pytest.raises(ClaimError, match=r"does not replicate.*at least 80%.*got 6 of 8 groups of 24 draws"):
            known_refutations(file)
    else:
        assert known_refutations(file) == {("one", "trials", "tiny"): "so"}


def test_every_group_is_decided_on_draws_of_its_own_and_counted(tmp_path, monkeypatch, capsys):
    asked = []

    def run(command, **_):
        options = dict(pairwise(command))
        asked.append(options["--claims-seeds"].split(","))
        word = "refuted" if len(asked) < 3 else "inconclusive"
        claims = [{"id": "one", "source": "trials", "verdict": word}, {"id": "two", "source": "exact", "verdict": "x"}]
        (Path(options["--claims-report"]) / "claims.json").write_text(json.dumps({"claims": claims}))
        return subprocess.CompletedProcess(command, 1, "", "")

    monkeypatch.setattr(replicate.subprocess, "run", run)
    replicate.replicate_and_write(tmp_path, "tiny", groups=3, first=1)
    drawn = [seed for group in asked for seed in group]
    assert len({*drawn}) == len(drawn) == 3 * 24
    assert "0" not in drawn
    assert json.loads((tmp_path / REPLICATIONS).read_text()) == {
        "tiny": {"one": {"groups": 3, "replicates": 24, "words": {"refuted": 2, "inconclusive": 1}}}
    }
    assert "group 3 of 3" in capsys.readouterr().out


def test_a_group_that_decides_nothing_is_an_error(tmp_path, monkeypatch):
    done = subprocess.CompletedProcess([], 4, "no such folder", "")
    monkeypatch.setattr(replicate.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(ClaimError, match=r"decided nothing.*no such folder"):
        replicate.replicate_and_write(tmp_path, "tiny", groups=1, first=1)


def test_the_authors_draws_are_no_fresh_ones(tmp_path):
    with pytest.raises(UsageError, match="authors' draws"):
        replicate.replicate_and_write(tmp_path, "paper", groups=1, first=1)
