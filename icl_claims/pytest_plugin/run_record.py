"""The records of a whole run, gathered where a person looks at it, and the reports that it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import pytest

from icl_claims.pytest_plugin.order import stage_of
from icl_claims.pytest_plugin.records import UNDECIDED, claim_of, junit_properties
from icl_claims.pytest_plugin.watching import Watch

if TYPE_CHECKING:
    from icl_claims.pytest_plugin.session_report import SessionReport


BETWEEN_PAGES = 10.0
"""Seconds between the beginning of a run and its first page, or between two; a run that only reads needs but one."""


@dataclass(eq=False)
class RunRecord:
    """What a run decided, gathered on the controller from the reports of every worker.

    Args:
        collected: Gives the claims that the run set out to decide, by test.
        watch: Knows what trials were run.
        claims: Those that were decided so far, by test.
        pictures: By profile, the numbers behind the papers' figures, as the reports brought them.
        cached: How many verdicts an earlier run had reached.
    """

    config: pytest.Config
    collected: Callable[[], dict[str, dict[str, Any]]]
    watch: Watch
    started: float = field(default_factory=time.time)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    pictures: dict[str, Any] = field(default_factory=dict)
    cached: int = 0
    begun: bool = False
    left: SessionReport | None = None
    stages: int = 0
    page_left: float = field(default_factory=time.time)

    def pytest_runtest_logstart(self) -> None:
        """Know that a test began: from now on there is something to report, unless fixtures are all that is run."""
        self.begun = not self.config.getoption("setuponly", False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what a test, on this process or on a worker, reports, before JUnit XML does."""
        self._add(report)
        for name, value in report.user_properties:
            if name == "pictures" and isinstance(value, dict):
                self.pictures = merged(self.pictures, value)
            if name == "cached" and report.when == "call":
                self.cached += 1
        if report.when == "teardown":
            report.user_properties = junit_properties(report)
            self._leave_a_page()

    def _leave_a_page(self) -> None:
        """Write a report as soon as all of a stage of the run is decided, while others go on."""
        collected = self.collected()
        stages = {
            test: stage_of(one["source"], one["profile"], trained=one.get("about") == "training")
            for test, one in collected.items()
        }
        waiting = {stage for test, stage in stages.items() if "verdict" not in self.claims.get(test, {})}
        in_order = list(dict.fromkeys(stages.values()))
        over = len([*takewhile(lambda stage: stage not in waiting, in_order)])
        if self.stages < over < len(in_order) and time.time() - self.page_left >= BETWEEN_PAGES:
            from icl_claims.pytest_plugin.session_report import leave_so_far

            self.stages, self.page_left = over, time.time()
            leave_so_far(self, self._records(), ", ".join(in_order[:over]))

    def _records(self) -> list[dict[str, Any]]:
        """All claims of the run, decided or not, by the ids of their tests."""
        collected = {test: {"seconds": 0.0, **claim} for test, claim in self.collected().items()}
        return [UNDECIDED | claim for _, claim in sorted((collected | self.claims).items())]

    def _add(self, report: pytest.TestReport) -> None:
        """Take in a report; a test that broke before its verdict is an error, never a verdict."""
        claim = claim_of(report) or (self.collected().get(report.nodeid) if report.failed else None)
        if claim is None:
            return
        entry = self.claims.setdefault(report.nodeid, {"seconds": 0.0, **claim})
        if report.when == "call":
            entry.update(claim)
        if report.failed and "verdict" not in claim:
            said = [line.strip() for line in str(report.longreprtext).splitlines() if line.strip()]
            entry |= UNDECIDED | {"verdict": "error", "why": said[-1] if said else "The test broke."}
        if report.when in ("setup", "call"):
            entry["seconds"] += report.duration

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report from whatever arrived; a changed verdict fails the run where a comparison was asked for."""
        records = self._records()
        if not self.begun or not records:
            return
        from icl_claims.pytest_plugin.session_report import leave

        self.left = leave(self, records, interrupted=bool(self.collected().keys() - self.claims))
        if self.left.failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print a line per claim, the changed ones first, then the counts and where the report is."""
        if self.left is not None:
            self.left.print(terminalreporter)


def merged(known: Any, new: Any) -> Any:
    """Both together, whichever worker reported first: a list that grew replaces the shorter one."""
    if isinstance(known, dict) and isinstance(new, dict):
        return known | {name: merged(known[name], new[name]) if name in known else new[name] for name in new}
    return known if isinstance(known, list) and isinstance(new, list) and len(known) > len(new) else new
