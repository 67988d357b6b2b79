"""Every example in a docstring gives what it shows, and every public function of the mathematics has one."""

from __future__ import annotations

import ast
import doctest
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
