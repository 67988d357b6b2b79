"""The options of a run of claims, and what they choose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from icl_claims.errors import IclClaimsError, ReportError
from icl_claims.experiments.options import PYTEST, Option, chosen, options_of

if TYPE_CHECKING:
    from icl_claims.experiments.plan import Choices

MARKERS = (
    "claim(claim, sources, condition): the claim that a test decides; written by Claim.decided_on",
    "exact: decided by mathematics, in seconds",
    "printed: decided on the papers' printed tables",
    "author_runs: decided on the authors' own runs",
    "trials: decided on our own runs of a model",
    "gpu: trials at the papers' own scale; not run without a CUDA device",
    "trained: trains something on the way, which takes a minute",
)


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
        (
            "compare",
            "RUN",
            "say what changed since a saved run (number, name, file or last); fail if a verdict did",
        ),
    ):
        group.addoption(pytest_option(name), metavar=metavar, help=text)
    again = "decide every claim again, also those that the same code decided before on the same evidence"
    group.addoption("--claims-again", action="store_true", help=again)


def check_options(config: pytest.Config) -> None:
    """Refuse an option that makes no sense; nothing heavy is imported for those that were left alone.

    Raises:
        pytest.UsageError: An option makes no sense, with what was expected and what came.
    """
    try:
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


def choices_of(config: pytest.Config, profile: str = "") -> Choices:
    """What the options choose.

    Args:
        config: Configuration of the run.
        profile: Profile that is taken instead of the chosen one.

    Raises:
        UsageError: An option is malformed.
    """
    given = {option.name: value for option, value in _given(config).items()}
    return chosen({**given, **({"profile": profile} if profile else {})})


def pytest_option(field: str) -> str:
    """What pytest calls a field of what is chosen, such as `--claims-k`."""
    return f"--claims-{field.replace('_', '-')}"


def report_folder(config: pytest.Config) -> Path:
    """Folder of a run's report."""
    return Path(config.getoption("claims_report") or config.rootpath / "reports")


def chosen_options(config: pytest.Config) -> dict[str, Any]:
    """The options that were named, and the profile, as plain data for a report."""
    return {option.name: value for option, value in _given(config).items() if value is not None}


def _given(config: pytest.Config) -> dict[Option, Any]:
    return {option: config.getoption(f"claims_{option.name}") for option in options_of(PYTEST)}
