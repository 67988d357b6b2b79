"""Every example in a docstring gives what it shows, and every public function of the mathematics has one."""

from __future__ import annotations

import ast
import doctest
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import icl_claims

ROOT = Path(icl_claims.__file__).parents[1]
MATHEMATICS = ("statistics", "theory")
EXAMPLES = doctest.DocTestParser()


def documented(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield node, ast.get_docstring(node) or ""


WITH_EXAMPLES = [
    pytest.param(path, docstring, id=f"{path.stem}.{getattr(node, 'name', 'module')}")
    for path in sorted((ROOT / "icl_claims").rglob("*.py"))
    for node, docstring in documented(path)
    if ">>>" in docstring
]


@pytest.mark.parametrize(("path", "docstring"), WITH_EXAMPLES)
def test_an_example_gives_what_it_shows(path, docstring):
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    runner = doctest.DocTestRunner(verbose=False)
    said = []
    runner.run(EXAMPLES.get_doctest(docstring, dict(vars(module)), path.stem, str(path), 0), out=said.append)
    assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("package", MATHEMATICS)
def test_every_public_function_has_an_example(package):
    without = [
        f"{path.stem}.{node.name}"
        for path in sorted((ROOT / "icl_claims" / package).glob("*.py"))
        for node, docstring in documented(path)
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.col_offset == 0
        if ">>>" not in docstring
    ]
    assert without == []


@pytest.mark.parametrize("name", sorted({*icl_claims.__all__} - {"__version__"}))
def test_every_name_of_the_front_door_has_an_example(name):
    thing = getattr(icl_claims, name)
    documented = (
        inspect.getmro(thing if inspect.isclass(thing) else type(thing)) if not inspect.isfunction(thing) else [thing]
    )
    assert any(">>>" in (one.__doc__ or "") for one in documented)


def test_the_front_door_imports_nothing_heavy_before_it_is_used():
    program = """
import sys, icl_claims
heavy = lambda: sorted({"torch", "transformers", "scipy", "pandas", "matplotlib"} & {*sys.modules})
assert set(icl_claims.__all__) <= set(dir(icl_claims))
assert not heavy(), heavy()
from icl_claims import Protocol, Quantity, Question
assert not heavy(), heavy()
from icl_claims import Finetuning
assert "torch" in heavy()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'icl_claims' has no attribute 'Finetunig'"):
        _ = icl_claims.Finetunig
