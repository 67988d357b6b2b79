"""The options of a run of claims: their names and values, and which files `-m` leaves out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from icl_claims.experiments.options import PYTEST, options_of
from icl_claims.pytest_plugin.engine_options import add_engine_options
from icl_claims.pytest_plugin.places import named_places

MARKERS = (
    "claim(claim, sources, condition): the claim that a test decides; written by Claim.decided_on",
    "exact: decided by mathematics, in seconds",
    "printed: decided on the papers' printed tables",
    "author_runs: decided on the authors' own runs",
    "trials: decided on our own runs of a model",
    "gpu: trials at the papers' own scale; not run without a CUDA device",
    "trained: trains something on the way, which takes a minute",
)


DEFAULT_BUDGET = "6.5m"
"""The budget of two set-ups in one run, if the reader gives none."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options `--claims-...` of a run."""
    group = parser.getgroup("claims", "claims about in-context learning")
    for option in options_of(PYTEST):
        name, kind = pytest_option(option.name), int if option.type is int else str  # workers are sent no paths
        again = "; several times for several models, of each of which all claims on trials are asked" * option.many
        facts = {"default": option.default, "metavar": option.metavar, "help": option.help + again}
        group.addoption(name, type=kind, action="append" if option.many else "store", **facts)
    for name, metavar, text in (
        ("report", "DIR", "folder of claims.html and claims.json; default: reports in the root"),
        ("name", "NAME", "name of the saved run, runs/NNNN_NAME.json; default: the profile"),
        ("figures", "DIR", "also save every figure of the report as SVG and PDF here"),
        ("compare", "RUN", "say what changed since a saved run (number, name, file or last); fail if a verdict did"),
    ):
        group.addoption(pytest_option(name), metavar=metavar, help=text)
    group.addoption(
        "--claims-budget",
        metavar="TIME",
        help="time for trials, such as 90s, 5m or 2h, counted from the start of the run: undecided claims get further "
        "draws until it is over, and the next run goes on from there; default: none and at most the profile's draws, "
        f"or {DEFAULT_BUDGET} where two profiles share it",
    )
    some = "decide only the claims of these ids, with commas; icl-claims list prints them"
    group.addoption("--claims-only", metavar="ID,ID", help=some)
    only = "run no trial: decide on those that were run before"
    group.addoption("--claims-no-more", action="store_true", help=only)
    again = "run every trial and decide every claim again, also where the same code did before on the same evidence"
    group.addoption("--claims-again", action="store_true", help=again)
    add_engine_options(group)


def pytest_option(field: str) -> str:
    """What pytest calls a field of what is chosen, such as `--claims-k`."""
    return f"--claims-{field.replace('_', '-')}"


def report_folder(config: pytest.Config) -> Path:
    """Folder of a run's report."""
    return Path(config.getoption("claims_report") or config.rootpath / "reports")


def given_options(config: pytest.Config) -> dict[str, Any]:
    """By name, what the reader gave of the options of a run, the same for all of its trials; None for the others.

    The models are not among them where there are several.
    """
    given = {option.name: config.getoption(f"claims_{option.name}") for option in options_of(PYTEST)}
    models = list(given["model"] or ())
    return {**given, "model": models[0] if len(models) == 1 else None, "models": None}


def named_options(config: pytest.Config) -> dict[str, Any]:
    """Of these, those that were named."""
    return {name: value for name, value in given_options(config).items() if value is not None}


def draws_are_fixed(config: pytest.Config) -> bool:
    """Whether the reader said how many draws are run."""
    return any(config.getoption(f"claims_{name}") is not None for name in ("seeds", "replicates"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a file of claims in which `-m` selects nothing, unless the reader named it.

    It need not be imported then, which for mathematics takes seconds.
    """
    expression = config.getoption("markexpr", "")
    if not expression or collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    left_out = collection_path not in named_places(config) and selects_nothing_in(collection_path, expression)
    return True if left_out else None


def selects_nothing_in(path: Path, expression: str) -> bool:
    """Whether a Python file holds claims, none of which an expression such as `trials and not gpu` selects.

    It is False where that is not certain.
    """
    try:
        wanted = ast.parse(expression.strip(), mode="eval").body
        module = ast.parse(path.read_text(encoding="utf-8"))
        marked = [marks for test in _tests(module) for marks in _marks(test)]
        return bool(marked) and not any(_holds(wanted, marks) for marks in marked)
    except (OSError, SyntaxError, ValueError):
        return False


def _tests(module: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.AsyncFunctionDef):
            raise ValueError("tests elsewhere than in plain functions")
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            raise ValueError("marks of the whole module")
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield node


def _marks(test: ast.FunctionDef) -> Iterator[set[str]]:
    """The marks of a test that decides a claim, once for each source."""
    sources: set[str] = set()
    others = {"claim"}
    for decorator in test.decorator_list:
        match decorator:
            case ast.Call(func=ast.Attribute(attr="claim"), keywords=keywords):
                said = {str(keyword.arg): keyword.value for keyword in keywords if keyword.arg in ("on", "trained")}
                sources |= set(ast.literal_eval(said["on"]).split()) if "on" in said else set()
                others |= {"trained"} if "trained" in said and ast.literal_eval(said["trained"]) else set()
            case ast.Call(func=ast.Attribute(attr="decided_on"), args=arguments, keywords=keywords):
                sources |= {str(ast.literal_eval(argument)) for argument in arguments}
                others |= {str(keyword.arg) for keyword in keywords if ast.literal_eval(keyword.value)}
            case ast.Call(func=ast.Attribute(attr="needs")):
                sources.add("exact")
            case _:
                raise ValueError("marks of another kind")
    for source in sources:
        yield {source, *others}
        if source == "trials":
            yield {source, "gpu", *others}


def _holds(expression: ast.expr, marks: set[str]) -> bool:
    match expression:
        case ast.Name(id=name):
            return name in marks
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _holds(operand, marks)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_holds(value, marks) for value in values)
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(_holds(value, marks) for value in values)
    raise ValueError("an expression of another kind")
