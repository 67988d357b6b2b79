"""The pytest plugin: options, markers, fixtures, words of a verdict. Nothing heavy is imported until a claim asks."""

from collections.abc import Generator
from importlib import import_module
from typing import Any

import pytest

from icl_claims.errors import UsageError
from icl_claims.pytest_plugin.budget import budget_of
from icl_claims.pytest_plugin.collection import (
    CollectedClaims,
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_generate_tests,
    pytest_itemcollected,
)
from icl_claims.pytest_plugin.fixtures import (
    cached,
    check_decided,
    decide,
    evidence,
    model,
    named_errors,
    report_again,
    trials,
)
from icl_claims.pytest_plugin.interrupts import Interrupts
from icl_claims.pytest_plugin.option_checks import check_options, pytest_report_header
from icl_claims.pytest_plugin.options import MARKERS, pytest_addoption, pytest_ignore_collect
from icl_claims.pytest_plugin.places import pytest_pycollect_makemodule
from icl_claims.pytest_plugin.records import CachedVerdict, claim_of
from icl_claims.pytest_plugin.run_record import RunRecord
from icl_claims.pytest_plugin.watching import WATCH, Watch
from icl_claims.pytest_plugin.workers import (
    beginning,
    pytest_configure_node,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
    share_threads,
)
from icl_claims.report.verdicts import OF_WORD, known_as


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and refuse options that make no sense before anything runs."""
    if config.getoption("hypothesis_profile", None) == "icl_claims":
        import_module("icl_claims.evidence.exact")  # which registers that profile, before Hypothesis looks for it
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    share_threads(config)
    beginning(config)
    check_options(config)
    try:
        budget_of(config)
    except UsageError as error:
        raise pytest.UsageError(f"--claims-budget: {error}") from error
    collected = CollectedClaims(config)
    config.pluginmanager.register(collected, "icl_claims_collected")
    config.pluginmanager.register(Interrupts(config, collected.claims), "icl_claims_interrupts")
    if not hasattr(config, "workerinput"):
        watch = Watch(config)
        config.pluginmanager.register(watch, WATCH)
        config.pluginmanager.register(RunRecord(config, collected.claims, watch), "icl_claims_record")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Report a cached verdict instead of running the test that reached it; ask the evidence what a claim asks."""
    asked: Any = pyfuncitem.funcargs.get("evidence")
    if isinstance(asked, CachedVerdict):
        report_again(pyfuncitem, asked)
        return True
    claim = getattr(pyfuncitem.obj, "claim", None)
    if asked is None or claim is None or claim.asks is None or "evidence" in pyfuncitem._fixtureinfo.argnames:
        return None
    with named_errors():
        from icl_claims.evidence.deciding import asked_of

        found, more = asked_of(claim, asked)
        record: Any = pyfuncitem.funcargs["decide"]
        record(found, **more)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Let no claim's test pass that decides nothing."""
    yield
    with named_errors():
        check_decided(item)


def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """The words of a verdict instead of passed, failed and skipped: how pytest counts, marks and prints it."""
    decided = (claim_of(report) if report.when == "call" else None) or {}
    said = OF_WORD.get(decided.get("verdict", ""))
    if said is None:
        return None
    if known := report.skipped and known_as(said.word, decided.get("known_refutation", "")):
        return "xfailed", "x", (known.upper(), {"yellow": True})
    if said.test != report.outcome:  # a refutation that was registered and did not come is a failure of its own
        return None
    counted = said.word if said.test == "skipped" else said.test
    return counted, said.letter, (said.word.upper(), {said.colour: True})
