"""What a run decided, gathered on the controller from the reports of every worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from icl_claims.errors import IclClaimsError
from icl_claims.pytest_plugin.junit import junit_properties
from icl_claims.pytest_plugin.verdict_json import UNDECIDED, with_holm

if TYPE_CHECKING:
    from icl_claims.claims import Claim
    from icl_claims.pytest_plugin.session_report import SessionReport


ABOUT_TASKS = ("printed", "author_runs", "trials")


def declare(item: pytest.Item) -> dict[str, Any] | None:
    """What a claim's test is about, as plain data; None for any other test.

    Raises:
        pytest.UsageError: What it asks is no question.
    """
    mark = item.get_closest_marker("claim")
    if mark is None:
        return None
    claim: Claim = mark.args[0]
    source, profile = item.callspec.params["evidence"] if hasattr(item, "callspec") else ("", "")
    try:
        asks = asked_by(claim) if source in ABOUT_TASKS else None
    except IclClaimsError as error:
        raise pytest.UsageError(f"{item.nodeid}: {error}") from error
    return {
        "id": claim.id,
        "source": source,
        "profile": (profile or item.config.getoption("claims_profile")) if source == "trials" else "",
        "paper": claim.paper.id,
        "paper_title": claim.paper.title,
        "asks": asks,
        "where": claim.where,
        "statement": claim.statement,
        "rule": str(claim.rule),
        "condition": mark.kwargs.get("condition", ""),
        "test": item.nodeid,
    }


def refuse_twins(items: Iterable[pytest.Item]) -> None:
    """Refuse two claims under one id, which the report could not tell apart.

    Raises:
        pytest.UsageError: There are two.
    """
    known: dict[str, tuple[Claim, str]] = {}
    for item in items:
        mark = item.get_closest_marker("claim")
        if mark is None:
            continue
        claim, test = known.setdefault(mark.args[0].id, (mark.args[0], item.nodeid))
        if claim is not mark.args[0]:
            both = f"{test} and {item.nodeid}"
            raise pytest.UsageError(f"Two claims have the id {claim.id}: {both}. Give one of them an id of its own.")


def asked_by(claim: Claim) -> dict[str, Any] | None:
    """What a claim asks, as plain data: its questions, and the names of all that they are about. None if nothing."""
    from icl_claims.experiments.studies import study_of
    from icl_claims.report.glossary import own_terms

    if not claim.questions:
        return None
    quantities = [quantity for question in claim.questions for quantity in question.quantities]
    named = {one.name: one for q in quantities for one in (q.metric, q.method, q.reference) if one is not None}
    studies = {study.name: None for quantity in quantities if (study := study_of(quantity)) is not None}
    return {
        "questions": [str(question) for question in claim.questions],
        "names": {name: one.title for name, one in named.items()},
        "own": own_terms(named.values()),
        "studies": list(studies),
    }


def claim_of(report: pytest.CollectReport | pytest.TestReport) -> dict[str, Any] | None:
    """The claim that a report is about, with its verdict where there is one."""
    found: dict[str, Any] = {}
    for name, value in getattr(report, "user_properties", ()):
        if name in ("claim", "verdict") and isinstance(value, dict):
            found |= value
    return found or None


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
        from icl_claims.claims import coverage_of_papers
        from icl_claims.pytest_plugin.session_report import leave

        interrupted = any(name not in self.claims for name in self.collected())
        self.left = leave(
            self.config,
            claims,
            seconds=time.time() - self.started,
            interrupted=interrupted,
            cached=self.cached,
            pictures=self.pictures,
            coverage=coverage_of_papers(claims),
        )
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
