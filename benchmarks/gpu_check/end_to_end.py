"""The claims of a GPU, run as a user runs them, on a model of the papers' shape with random weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.dense import dense_network, save
from benchmarks.gpu_check.finding import Asked, Finding
from benchmarks.outcome import Say
from icl_claims.errors import ModelError
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.models.loading import without_progress_bars

ROOT = Path(__file__).parents[2]
QUERIES = 8
CHECK = "claims end to end"
LAST_LINES = 5


def claims_end_to_end(asked: Asked, say: Say) -> Iterator[Finding]:
    """Every claim ends with a word, whichever it is for random weights: none with an error."""
    say("writing a model with random weights")
    model, dtype = asked.folder / "model", torch.float16 if asked.device.type == "cuda" else torch.float32
    with without_progress_bars():
        save(dense_network(asked.large, asked.seed, asked.device, dtype), model)
    say(f"pytest claims/ -m gpu, {QUERIES} queries of {len(asked.tasks)} tasks")
    code, claims, printed = _run(asked, model, str(dtype).removeprefix("torch."))
    shutil.rmtree(model)
    words = Counter(str(claim["verdict"]) for claim in claims)
    measured: dict[str, float | str] = {
        "claims": str(len(claims)),
        **{f"{word}:": str(number) for word, number in sorted(words.items())},
        "without a trial:": float(sum(not claim["provenance"]["trials"] for claim in claims)),
        "errors:": float(words["error"]),
        "exit status": float(code),
    }
    found = Finding.judged(CHECK, measured, {"errors:": 0, "exit status": 1, "without a trial:": len(claims) - 1})
    yield found if found.word == "passed" else replace(found, why=f"{found.why}: {printed}")


def _run(asked: Asked, model: Path, dtype: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, the claims of the report, and what was printed last."""
    report = asked.folder / "report"
    options = {
        "device": asked.device,
        "dtype": dtype,
        "model": f"path:{model}",
        "data": fixtures_folder() / "tasks",
        "tasks": ",".join(asked.tasks),
        "k": asked.demonstrations,
        "queries": QUERIES,
        "seeds": 1,
        "studies": "main",
        "report": report,
    }
    command = [sys.executable, "-m", "pytest", str(ROOT / "claims"), "-m", "gpu", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(f"--claims-{name}={value}" for name, value in options.items())],
        cwd=ROOT,
        env={**os.environ, "ICL_CLAIMS_CACHE": str(asked.folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    last = " ".join((done.stdout + done.stderr).strip().splitlines()[-LAST_LINES:])
    if not (report / "claims.json").is_file():
        raise ModelError("pytest claims/ -m gpu wrote no report", expected="claims.json", got=last)
    return done.returncode, json.loads((report / "claims.json").read_text(encoding="utf-8"))["claims"], last
