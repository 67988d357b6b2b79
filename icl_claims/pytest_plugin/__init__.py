"""The pytest plugin: options, markers, fixtures, words of a verdict. Nothing heavy is imported until a claim asks."""

import sys
from pathlib import Path
from typing import Any

import pytest

from icl_claims.pytest_plugin.claim_json import claim_of, declare
from icl_claims.pytest_plugin.collection import INPUT, ControllersList, WorkersList, refuse_twins, remember_claims
from icl_claims.pytest_plugin.fixtures import cached, decide, evidence, model, named_errors, report_again, trials
from icl_claims.pytest_plugin.options import MARKERS, check_options, pytest_addoption
from icl_claims.pytest_plugin.run_record import RunRecord
from icl_claims.pytest_plugin.unasked_files import pytest_ignore_collect
from icl_claims.pytest_plugin.workers import pytest_xdist_make_scheduler, share_threads


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and refuse options that make no sense before anything runs."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    share_threads(config)
    check_options(config)
    if not hasattr(config, "workerinput"):
        collected = ControllersList()
        config.pluginmanager.register(collected, "icl_claims_collected")
        config.pluginmanager.register(RunRecord(config, collected.claims), "icl_claims_record")
    elif INPUT in config.workerinput:
        config.pluginmanager.register(WorkersList(Path(config.workerinput[INPUT])), "icl_claims_collected")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a claim one test for each source of evidence, and trials a second one at the papers' own scale."""
    mark = metafunc.definition.get_closest_marker("claim")
    if mark is None or "evidence" not in metafunc.fixturenames:
        return
    params = []
    for source in mark.kwargs["sources"]:
        params.append(pytest.param((source, ""), id=source, marks=getattr(pytest.mark, source)))
        if source == "trials" and metafunc.config.getoption("claims_profile") != "paper":
            gpu = [pytest.mark.trials, pytest.mark.gpu]
            params.append(pytest.param((source, "paper"), id="trials-paper", marks=gpu))
    metafunc.parametrize("evidence", params, indirect=True, scope="function")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Write on every claim's test what it decides, so that even a crash before the verdict can be reported."""
    refuse_twins(items)
    remember_claims(config, items)
    for item in items:
        if (declared := declare(item)) is not None:
            item.user_properties.append(("claim", declared))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Report a cached verdict instead of running the test that reached it; ask the evidence what a claim asks."""
    asked: Any = pyfuncitem.funcargs.get("evidence")
    if "icl_claims.pytest_plugin.verdict_cache" in sys.modules:
        from icl_claims.pytest_plugin.verdict_cache import CachedVerdict

        if isinstance(asked, CachedVerdict):
            report_again(pyfuncitem, asked)
            return True
    claim = getattr(pyfuncitem.obj, "claim", None)
    if asked is None or claim is None or claim.asks is None or "evidence" in pyfuncitem._fixtureinfo.argnames:
        return None
    with named_errors():
        decides, *secondary = claim.questions
        record: Any = pyfuncitem.funcargs["decide"]
        record(asked.ask(decides), beside=asked.answers(*secondary))
    return True


def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, str | tuple[str, dict[str, bool]]] | None:
    """The words of a verdict instead of passed, failed and skipped."""
    claim = claim_of(report)
    word = None if claim is None else claim.get("verdict")
    if not isinstance(report, pytest.TestReport) or report.when != "call" or word is None:
        return None
    if word in ("inconclusive", "not run") and report.skipped:
        return word, "?" if word == "inconclusive" else "-", (word.upper(), {"yellow": True})
    if word == "supported" and report.passed:
        return "passed", ".", ("SUPPORTED", {"green": True})
    if word == "refuted" and report.failed:
        return "failed", "F", ("REFUTED", {"red": True})
    if word == "refuted" and report.skipped:
        return "xfailed", "x", ("REFUTED, AS KNOWN", {"yellow": True})
    return None
