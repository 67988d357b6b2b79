"""What is said of options before a run: that one makes no sense, and what those that were chosen cannot decide."""

from __future__ import annotations

import pytest

from icl_claims.errors import IclClaimsError, ReportError
from icl_claims.experiments.options import PYTEST, options_of
from icl_claims.pytest_plugin.columns import choices_of, columns_of, of_models
from icl_claims.pytest_plugin.engine_options import check_engine
from icl_claims.pytest_plugin.options import named_options, pytest_option, report_folder


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
        defaults = {option.name: option.default for option in options_of(PYTEST)}
        if of_models(config) or any(value != defaults[name] for name, value in named_options(config).items()):
            for column in columns_of(config) if of_models(config) else columns_of(config)[:1]:
                choices = choices_of(config, column.key)
                choices.chosen_tasks()
                choices.chosen_studies()
                _ = choices.source
    except IclClaimsError as error:
        door = "--claims-compare: " if isinstance(error, ReportError) else ""
        raise pytest.UsageError(f"{door}{error.as_told(pytest_option)}") from error


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say up front what trials of some of the papers' tasks cannot decide."""
    if config.getoption("claims_tasks") is None:
        return None
    from icl_claims.report.words import limit_of_tasks

    return limit_of_tasks([task.name for task in choices_of(config).chosen_tasks()]) or None
