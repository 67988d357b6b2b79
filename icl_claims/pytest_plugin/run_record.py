"""What a run decided, gathered on the controller from the reports of every worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from icl_claims.pytest_plugin.claim_json import UNDECIDED, claim_of, junit_properties, with_holm

if TYPE_CHECKING:
    from icl_claims.pytest_plugin.session_report import SessionReport


@dataclass(eq=False)
class RunRecord:
    """The claims of a run, by test, in the order in which they were decided.

    Args:
        config: Configuration of the run.
        collected: Gives what the run set out to decide.
        started: When it started.
        claims: What was decided so far.
        pictures: By profile, the numbers behind the papers' figures, as the reports brought them.
        cached: How many verdicts an earlier run had reached.
    """

    config: pytest.Config
    collected: Callable[[], dict[str, dict[str, Any]]]
    started: float = field(default_factory=time.time)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    pictures: dict[str, Any] = field(default_factory=dict)
    cached: int = 0
    begun: bool = False
    left: SessionReport | None = None

    def add(self, report: pytest.TestReport) -> None:
        """Take in a report; a test that broke before its verdict is an error, never a verdict."""
        claim = claim_of(report) or (self.collected().get(report.nodeid) if report.failed else None)
        if claim is None:
            return
        entry = self.claims.setdefault(report.nodeid, {"seconds": 0.0, **claim})
        if report.when == "call":
            entry.update(claim)
        if report.failed and "verdict" not in claim:
            entry |= UNDECIDED | {"verdict": "error", "why": _last_line(report)}
        if report.when in ("setup", "call"):
            entry["seconds"] += report.duration

    def decided(self) -> list[dict[str, Any]]:
        """Every claim of the run, in the order of the tests; those that were not reached are not run."""
        unreached = {name: {"seconds": 0.0, **claim} for name, claim in self.collected().items()}
        return with_holm([UNDECIDED | claim for _, claim in sorted((unreached | self.claims).items())])

    def pytest_runtest_logstart(self) -> None:
        """Know that a test began: from now on there is something to report."""
        self.begun = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what a test, on this process or on a worker, reports, before JUnit XML does."""
        self.add(report)
        for name, value in report.user_properties:
            if name == "pictures" and isinstance(value, dict):
                self.pictures = merged(self.pictures, value)
            if name == "cached" and report.when == "call":
                self.cached += 1
        if report.when == "teardown":
            report.user_properties = junit_properties(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report from whatever arrived; a changed verdict fails the run where a comparison was asked for."""
        if not self.begun or not (claims := self.decided()):
            return
        from icl_claims.pytest_plugin.session_report import leave

        seconds, cut = time.time() - self.started, bool(self.collected().keys() - self.claims)
        self.left = leave(self.config, claims, self.pictures, seconds=seconds, interrupted=cut, cached=self.cached)
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


def _last_line(report: pytest.TestReport) -> str:
    lines = [line for line in str(report.longreprtext).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "The test broke."
