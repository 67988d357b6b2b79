"""The options of a run of claims: what they choose, and which files `-m` leaves out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from icl_claims.errors import IclClaimsError, ReportError
from icl_claims.experiments.options import AT_SCALE, PYTEST, SECOND, Option, chosen, default_profile, options_of
from icl_claims.pytest_plugin.engine_options import add_engine_options, check_engine

if TYPE_CHECKING:
    from icl_claims.experiments.profiles import Choices

MARKERS = (
    "claim(claim, sources, condition): the claim that a test decides; written by Claim.decided_on",
    "exact: decided by mathematics, in seconds",
    "printed: decided on the papers' printed tables",
    "author_runs: decided on the authors' own runs",
    "trials: decided on our own runs of a model",
    "gpu: trials at the papers' own scale; not run without a CUDA device",
    "trained: trains something on the way, which takes a minute",
)


_SET_UP = {"profile", "model", "data", "rates"}
DEFAULT_BUDGET = "6.5m"
"""The budget of two set-ups in one run, if the reader gives none."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options `--claims-...` of a run."""
    group = parser.getgroup("claims", "claims about in-context learning")
    for option in options_of(PYTEST):
        name, kind = pytest_option(option.name), int if option.type is int else str  # workers are sent no paths
        group.addoption(name, type=kind, default=option.default, metavar=option.metavar, help=option.help)
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
    only = "run no trial: decide on those that were run before"
    group.addoption("--claims-no-more", action="store_true", help=only)
    again = "run every trial and decide every claim again, also where the same code did before on the same evidence"
    group.addoption("--claims-again", action="store_true", help=again)
    add_engine_options(group)


def check_options(config: pytest.Config) -> None:
    """Refuse an option that makes no sense; nothing heavy is imported for those that were left alone.

    Raises:
        pytest.UsageError: An option makes no sense, with what was expected and what came.
    """
    try:
        check_engine(config)
        if (named := config.getoption("claims_compare")) is not None:
            from icl_claims.report.document import find_run, read_document

            read_document(find_run(named, report_folder(config) / "runs"))
        if any(value not in (None, option.default) for option, value in _given(config).items()):
            choices = choices_of(config)
            choices.chosen_tasks()
            choices.chosen_studies()
            _ = choices.source
    except IclClaimsError as error:
        door = "--claims-compare: " if isinstance(error, ReportError) else ""
        raise pytest.UsageError(f"{door}{error.as_told(pytest_option)}") from error


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say up front what trials of some of the papers' tasks cannot decide."""
    chosen_here = config.getoption("claims_tasks")
    if chosen_here is None:
        return None
    from icl_claims.report.words import limit_of_tasks

    return limit_of_tasks([task.name for task in choices_of(config).chosen_tasks()]) or None


def choices_of(config: pytest.Config, profile: str = "") -> Choices:
    """What the options choose, with this profile instead of theirs if one is named.

    Raises:
        UsageError: An option is malformed.
    """
    given = {option.name: value for option, value in _given(config).items()}
    return chosen(given | {"profile": profile or given["profile"]})


def pytest_option(field: str) -> str:
    """What pytest calls a field of what is chosen, such as `--claims-k`."""
    return f"--claims-{field.replace('_', '-')}"


def report_folder(config: pytest.Config) -> Path:
    """Folder of a run's report."""
    return Path(config.getoption("claims_report") or config.rootpath / "reports")


def chosen_options(config: pytest.Config) -> dict[str, Any]:
    """The options that were named, and the profile, as plain data for a report."""
    named = {option.name: value for option, value in _given(config).items() if value is not None}
    return {"profile": default_profile(named), **named}


def profile_of(config: pytest.Config) -> str:
    """The profile of a run, the first where there are two."""
    profile: str = chosen_options(config)["profile"]
    return profile


def other_profiles(config: pytest.Config) -> tuple[str, ...]:
    """The profiles whose trials have tests of their own beside those of the first.

    Where the reader named no set-up, that of a language model is the second.
    """
    named = {option.name for option, value in _given(config).items() if value is not None}
    second = (SECOND,) if profile_of(config) != SECOND and not named & _SET_UP else ()
    return tuple(name for name in (*second, AT_SCALE) if name != profile_of(config))


def many_columns(config: pytest.Config) -> bool:
    """Whether a run has trials of two set-ups, which share a budget."""
    return SECOND in other_profiles(config)


def _given(config: pytest.Config) -> dict[Option, Any]:
    return {option: config.getoption(f"claims_{option.name}") for option in options_of(PYTEST)}


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
    named = {config.invocation_params.dir / argument.partition("::")[0] for argument in config.args}
    return True if collection_path not in named and selects_nothing_in(collection_path, expression) else None


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
