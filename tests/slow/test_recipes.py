"""The recipes of CONTRIBUTING, followed to the letter in a copy of the project."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = {
    part.partition(":")[0]: part
    for part in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Recipes")[2].split("\n### ")[1:]
}
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
TRIAL = ("trial", "--task", "sst2", "--profile", "tiny", "--k", "4", "--queries", "8", "--json")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of what recipes touch, and a cache of its own."""
    for name in ("icl_claims", "claims", "fixtures"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def follow(project, recipe):
    """Write the files of a recipe, and change the lines that it changes.

    Returns:
        The files that were touched.
    """
    touched = []
    for kind, block in BLOCK.findall(RECIPES[recipe]):
        if kind == "diff":
            name = re.search(r"^--- a/(.*)$", block, re.MULTILINE)[1]
            text = (project / name).read_text(encoding="utf-8")
            for hunk in re.split(r"^@@.*\n", block, flags=re.MULTILINE)[1:]:
                lines = hunk.splitlines()
                before = "\n".join(line[1:] for line in lines if line[0] in " -")
                assert text.count(before) == 1, f"{name} has no such lines: {before}"
                text = text.replace(before, "\n".join(line[1:] for line in lines if line[0] in " +"))
        else:
            head, _, text = block.partition("\n")
            name = head.removeprefix("# ")
            assert not (project / name).exists()
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
        touched.append(name)
    return touched


def python(project, *arguments):
    done = subprocess.run([sys.executable, *arguments], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def trial(project, *options):
    return json.loads(python(project, "-c", "from icl_claims.cli import main; main()", *TRIAL, *options))


def test_the_recipe_of_a_claim(project):
    assert len(follow(project, "A claim")) == 1
    options = (
        "--claims-profile",
        "tiny",
        "--claims-queries",
        "8",
        "--claims-k",
        "4",
        "--claims-seeds",
        "1,2",
        "-p",
        "no:cacheprovider",
    )
    python(
        project, "-m", "pytest", "claims/follow_ups/test_short_demonstrations.py", "-m", "trials and not gpu", *options
    )
    claims = json.loads((project / "reports" / "claims.json").read_text(encoding="utf-8"))["claims"]
    (claim,) = [one for one in claims if one["id"] == "note-both-beat-noise"]
    assert claim["paper_title"] == "A note of one's own"
    assert claim["verdict"] == "inconclusive", "two draws decide nothing"
    assert len(claim["beside"]) == 6


def test_the_recipe_of_a_method(project):
    assert len(follow(project, "A method")) == 2
    metrics = trial(project, "--methods", "sign_descent")["metrics"]
    assert {"sign_descent", "gaussian_of_sign_descent", "other_query_of_sign_descent"} <= set(metrics)


def test_the_recipe_of_a_metric(project):
    assert len(follow(project, "A metric")) == 1
    assert "agreement" in trial(project)["metrics"]["finetuning"]


def test_the_recipe_of_a_task(project):
    assert follow(project, "A task") == ["fixtures/tasks/topics/task.toml"]
    for split, rows in (("train", 12), ("validation", 6)):
        lines = (json.dumps({"text": f"text {row}", "label": row % 3}) for row in range(rows))
        (project / "fixtures" / "tasks" / "topics" / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert trial(project, "--task", "topics")["spec"]["task"] == "topics"


def test_the_recipe_of_a_family(project):
    assert len(follow(project, "A family of models")) == 1
    made = "from icl_claims.models.random_models import random_model; print(random_model('olmo2', 2, 0).layers)"
    assert python(project, "-c", made) == "2\n"
