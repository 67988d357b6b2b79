"""A folder of one's own claims, with a method, a metric and a task that the package does not know; a seventh task."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from icl_claims.evidence.printed import PrintedEvidence
from icl_claims.experiments.options import chosen
from icl_claims.storage.checksummed import read_manifest
from icl_claims.tasks.catalogue import PAPERS_TASKS, TASKS
from icl_claims.tasks.sources import synthetic_task, vocabulary
from tests.quality.data_claims import data_claims

TOPICS = Path(__file__).parents[2] / "examples" / "own_study" / "tasks" / "topics"
THINGS = """
    from dataclasses import dataclass

    from icl_claims import Finetuning
    from icl_claims.metrics import LayerMetric


    @dataclass(frozen=True)
    class Gentle:
        times: float = 0.5
        learning_rate: float = 1.5
        definition = "Finetuning at a share of its rate."

        @property
        def name(self):
            return f"gentle_{self.times:g}"

        @property
        def title(self):
            return f"finetuning at {self.times:g} of its rate"

        def learn(self, model, demonstrations, known=None):
            return Finetuning(self.times * self.learning_rate).learn(model, demonstrations, known)


    def ratio(method, in_context, zero_shot):
        return ((method - zero_shot).norm(dim=-1) / (in_context - zero_shot).norm(dim=-1)).T


    length = LayerMetric(
        name="length",
        title="length of the update",
        unit="updates of ICL",
        definition="By how much a method moves attention outputs, as a multiple of what demonstrations do.",
        values=ratio,
        takes=lambda seen: {
            "method": seen.answer.attention_outputs,
            "in_context": seen.reference.attention_outputs,
            "zero_shot": seen.zero_shot.attention_outputs,
        },
        of_updates=True,
    )
"""
CLAIMS = """
    from icl_claims import Paper, at_least, nulls_of, sim_aou
    from icl_claims.methods import GaussianUpdate

    from .things import Gentle, length

    note, GENTLE = Paper("note", "A note of mine"), Gentle(0.5)


    @note.claim("moves", where="section 1", rule=at_least(1, of=1), on="trials")
    def test_moves():
        "Gentle finetuning moves attention outputs."
        return tuple(question.on("topics") for question in (
            (length(GENTLE) > 0.0).of_any_model,
            length(GENTLE) > length(GaussianUpdate(GENTLE)),
            *nulls_of(sim_aou(GENTLE)),
        ))


    @note.claim("moves-not", where="section 1", rule=at_least(1, of=1), on="trials")
    def test_moves_not():
        "Gentle finetuning does not move attention outputs."
        return (length(GENTLE) < 0.0).of_any_model.on("topics")
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Run claims in a folder of the reader's on the tiny model; gives the claims of claims.json by id, and the page."""
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(pytester.path / "cache"))
    few = ("--claims-profile=tiny", "--claims-k=4", "--claims-queries=6", "--claims-seeds=1", "-m", "not gpu")

    def run(claims, *options, things=THINGS):
        study = pytester.path / "study"
        shutil.copytree(TOPICS, study / "tasks" / "topics", dirs_exist_ok=True)
        for name, text in (("things.py", things), ("test_study.py", claims)):
            (study / name).write_text(dedent(text), encoding="utf-8")
        everywhere = ("-p", "no:cacheprovider", "-n", "0", "--import-mode=importlib")
        result = pytester.runpytest_inprocess(*everywhere, *few, *options, "study")
        written = json.loads((pytester.path / "reports" / "claims.json").read_text(encoding="utf-8"))
        page = (pytester.path / "reports" / "claims.html").read_text(encoding="utf-8")
        return result, {claim["id"]: claim for claim in written["claims"]}, page

    return run


def test_own_method_metric_and_task_are_run_and_decided(run):
    result, claims, page = run(CLAIMS, "--claims-seeds=1,2,3,4,5,6,7,8")
    assert {name: claim["verdict"] for name, claim in claims.items()} == {"moves": "supported", "moves-not": "refuted"}
    result.assert_outcomes(passed=1, failed=1)
    moves = claims["moves"]
    assert [finding["task"] for finding in moves["tasks"]] == ["topics"]
    assert {trial["task"] for trial in moves["provenance"]["trials"]} == {"topics"}
    (as_long, *nulls) = moves["beside"]
    (found,) = as_long["tasks"]
    assert found["left"] == pytest.approx(found["right"], rel=1e-3)  # a Gaussian update is as long as the method's own
    title = "finetuning at 0.5 of its rate"
    assert [null["name"] for null in nulls] == [
        f"SimAOU of {title} above SimAOU of a random update",
        f"SimAOU of {title} above SimAOU of a Gaussian update as long as that of {title}",
        f"SimAOU of {title} above SimAOU of another query's update by {title}",
    ]
    for words in ("A note of mine", "length of the update", title, "Topics", "as a multiple of what demonstrations do"):
        assert words in page


def test_again_runs_the_trials_again(run, pytester):
    def written():
        return {path.parent.name: read_manifest(path.parent).written for path in store.glob("*/manifest.json")}

    store = pytester.path / "cache" / "trials"
    run(CLAIMS)
    before = written()
    run(CLAIMS, "--claims-again")
    after = written()
    assert before.keys() == after.keys()
    assert all(after[key] > before[key] for key in before)
    run(CLAIMS)
    assert written() == after


def test_a_method_whose_helper_changed_is_run_anew(run, pytester):
    helper = pytester.path / "study" / "inner" / "rates.py"
    helper.parent.mkdir(parents=True)
    things = THINGS.replace("self.times * self.learning_rate", "SIGN * self.times * self.learning_rate")
    things = things.replace(
        "from icl_claims import Finetuning\n", "from icl_claims import Finetuning\n    from .inner.rates import SIGN\n"
    )
    found = []
    for sign in (1, -1, 1):
        helper.write_text(f"SIGN = {sign}")
        _, claims, _ = run(CLAIMS, things=things)
        (finding,) = claims["moves"]["beside"][1]["tasks"]
        found.append(finding["left"])
    assert found[0] == found[2] != found[1]


def test_a_seventh_task_that_is_named_breaks_no_claim_about_six(run):
    asks = """
        from icl_claims import InContext, accuracy
        from icl_claims.claims import GENERALLY, rethinking

        @rethinking.claim("six", where="section 1", rule=GENERALLY, on="trials")
        def test_six():
            "In-context learning is not always wrong."
            return accuracy(InContext()) > 0.0
    """
    _, claims, _ = run(asks, "--claims-tasks=cb,study/tasks/topics")
    claim = claims["six"]
    assert claim["verdict"] == "inconclusive"
    assert {finding["task"]: finding["outcome"] == "absent" for finding in claim["tasks"]} == {
        task: task != "cb" for task in PAPERS_TASKS
    }
    assert {trial["task"] for trial in claim["provenance"]["trials"]} == {"cb"}  # no claim asks of the other


def test_a_seventh_known_task_changes_nothing_unless_it_is_named(monkeypatch):
    tables = [claim for claim in data_claims("printed") if claim.claim.questions][:6]

    def said():
        verdicts = [claim.decided_on(PrintedEvidence(claim.claim.paper.id)) for claim in tables]
        return verdicts, vocabulary(), synthetic_task(TASKS["mr"]).digest, chosen({}).chosen_tasks()

    before = said()
    monkeypatch.setitem(
        TASKS, "seventh", replace(TASKS["cb"], name="seventh", title="Seventh", verbalizers=("on", "off"))
    )
    assert said() == before
    assert [task.name for task in chosen({"tasks": "seventh,cb"}).chosen_tasks()] == ["cb", "seventh"]
