"""The key of a trial and the state of a verdict know all code of the reader's own that took part, wherever it lies."""

from __future__ import annotations

import ast
import importlib
import json
import sys
import textwrap
from functools import partial

import numpy as np
import pytest

from icl_claims.errors import UsageError
from icl_claims.experiments.spec import CODE_THAT_MAKES_NUMBERS, TrialSpec
from icl_claims.methods import InContext, SwitchedLabels
from icl_claims.metrics import LayerMetric
from icl_claims.storage.source_code import PACKAGE, own_source

LAB = {
    "mylab/methods.py": """
        from dataclasses import dataclass
        from typing import Any

        import otherlab.other
        from mylab.inner.deep.steps import step
        from mylab import between
        from .beside import RATE

        @dataclass(frozen=True)
        class Mine:
            by: Any = 1.0
            name = title = "mine"

            def learn(self, model, demonstrations, known=None):
                import otherlab.lazy
    """,
    "mylab/beside.py": "RATE = 1.0",
    "mylab/inner/deep/steps.py": "def step(): ...",
    "mylab/between.py": "def used():\n    from otherlab import steps",
    "otherlab/__init__.py": "",
    **{f"otherlab/{name}.py": "RATE = 1.0" for name in ("lazy", "other", "steps")},
    "otherlab/unused.py": "RATE = 1.0",
}
TOOK_PART = set(LAB) - {"otherlab/unused.py"}


@pytest.fixture
def site(tmp_path):
    """The folder of installed packages, in which the other one lies."""
    return tmp_path / "site-packages"


@pytest.fixture
def lab(tmp_path, site, monkeypatch):
    """Write the packages of a reader, some files changed, and import the module of the method anew."""
    for folder in (tmp_path, site):
        monkeypatch.syspath_prepend(str(folder))

    def write(**changed):
        for name, text in {**LAB, **changed}.items():
            path = (site if name.startswith("otherlab") else tmp_path) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")
        for name in [name for name in sys.modules if name.partition(".")[0] in ("mylab", "otherlab")]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        return importlib.import_module("mylab.methods")

    return write


def key_of(method):
    return TrialSpec("model", "data", "sst2", 3, 5, 0, None, (SwitchedLabels(method, "cyclic"),)).key()


@pytest.mark.parametrize("file", sorted(LAB))
def test_every_file_that_took_part_is_in_the_key(lab, file):
    first = key_of(lab().Mine())
    changed = key_of(lab(**{file: f"{textwrap.dedent(LAB[file])}\nMORE = 2"}).Mine())
    assert (changed != first) == (file in TOOK_PART)
    assert key_of(lab(**{file: f"{textwrap.dedent(LAB[file])}\n# words"}).Mine()) == first


@pytest.mark.parametrize(("url", "counts"), [('{"url": "file:///lab", "dir_info": {}}', True), ("", False)])
def test_an_installed_package_counts_unless_an_index_gave_it(lab, site, url, counts):
    for name, text in {"RECORD": "otherlab/__init__.py,,\n", **({"direct_url.json": url} if url else {})}.items():
        (site / "otherlab-1.0.dist-info").mkdir(parents=True, exist_ok=True)
        (site / "otherlab-1.0.dist-info" / name).write_text(text)
    first = key_of(lab().Mine())
    assert (key_of(lab(**{"otherlab/other.py": "RATE = -1.0"}).Mine()) != first) == counts


def test_nothing_of_ours_or_a_librarys_is_the_readers_own():
    assert own_source(["icl_claims.methods.finetuning", "numpy.linalg", "torch", "json", "nowhere"]) == ""


# Parameters


def test_what_a_method_or_metric_is_made_of_is_in_the_key(lab):
    module = lab()

    def powers(power):
        return lambda outputs: (outputs**power).mean(-1).T

    def metric(values, **more):
        made = LayerMetric(name="mine", title="", definition="", values=values, takes=lambda seen: {}, **more)
        return TrialSpec("model", "data", "sst2", 3, 5, 0, None, (), metrics=(made,)).key()

    around = [metric(powers(2)), metric(powers(3)), metric(partial(powers(2), 1)), metric(powers(2), compares=False)]
    assert len({*around}) == 4
    assert metric(powers(2)) == around[0]
    of_method = [module.Mine(by) for by in (1.0, 2.0, (1, 2), np.tanh, module.step, powers(2), powers(3))]
    assert len({key_of(method) for method in of_method}) == 7
    with pytest.raises(UsageError, match="cannot be told from another one: expected numbers"):
        key_of(module.Mine(object()))


def test_a_method_that_is_no_frozen_dataclass_is_refused():
    class Loose(SwitchedLabels):
        __hash__ = None

    with pytest.raises(UsageError, match=r"no frozen dataclass.*Write @dataclass\(frozen=True\)"):
        TrialSpec("model", "data", "sst2", 3, 5, 0, None, (Loose(InContext(), "cyclic"),))


# Ours


def imported_by_trials():
    """Every file of the package that running a trial imports."""
    waiting, seen = [PACKAGE / "experiments" / "trial.py"], set()
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("icl_claims"):
                for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                    place = PACKAGE.joinpath(*name.split(".")[1:])
                    waiting += [place.with_suffix(".py"), *([place / "__init__.py"] if place != PACKAGE else [])]
    return {path.relative_to(PACKAGE).as_posix() for path in seen}


def test_the_code_that_makes_numbers_is_all_that_trials_import():
    listed = {path.relative_to(PACKAGE).as_posix() for of in CODE_THAT_MAKES_NUMBERS for path in PACKAGE.glob(of)}
    elsewhere = {
        "experiments/studies.py",  # the methods of a trial are in its specification
        "protocol.py",  # and so are its readings
        *("questions.py", "errors.py", "version.py", "fixtures_folder.py"),  # names and words
        "statistics/error_rates.py",  # what questions allow their words
        *("storage/files.py", "storage/store.py", "storage/source_code.py"),  # they keep numbers, and make none
        *("storage/__init__.py", "experiments/__init__.py"),
    }
    assert imported_by_trials() - listed <= elsewhere
    assert {"experiments/progress.py", "experiments/result.py", "storage/checksummed.py"} <= listed


# Verdicts

CLAIMS = """
    from mylab.methods import Mine
    from icl_claims import Paper
    from icl_claims.claims import Verdict

    note = Paper("note", "A note of mine")

    @note.claim("it-holds", where="section 1", on="exact")
    def test_claim(evidence, decide):
        "Something holds."
        import otherlab.lazy
        decide(Verdict("supported" if otherlab.lazy.RATE > 0 else "refuted", "Because."))
"""


def test_a_verdict_follows_from_a_package_that_lies_elsewhere(lab, pytester, monkeypatch):
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(pytester.path / "cache"))
    pytester.makepyfile(CLAIMS)

    def verdict(**changed):
        lab(**changed)
        pytester.runpytest_inprocess("-p", "no:cacheprovider", "-n", "0")
        written = json.loads((pytester.path / "reports" / "claims.json").read_text(encoding="utf-8"))
        return written["claims"][0]["verdict"]

    assert verdict() == "supported"
    assert verdict(**{"otherlab/lazy.py": "RATE = -1.0"}) == "refuted"
    assert verdict() == "supported"
