"""What a run decided, gathered on the controller from the reports of every worker."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from icl_claims.claims import Claim, Comparison, Verdict

WORDS = ("supported", "refuted", "inconclusive", "not run", "error")
COLOURS = {"supported": "green", "refuted": "red", "inconclusive": "yellow", "not run": "light", "error": "red"}
UNDECIDED: dict[str, Any] = {
    "verdict": "not run",
    "why": "The run stopped before it.",
    "would_change": "",
    "known_refutation": "",
    "cases": 0,
    "quantity": None,
    "tasks": [],
    "effect": None,
    "p": None,
    "beside": [],
    "provenance": {},
}


def declare(item: pytest.Item) -> dict[str, Any] | None:
    """What a claim's test is about, as plain data; None for any other test."""
    mark = item.get_closest_marker("claim")
    if mark is None:
        return None
    claim: Claim = mark.args[0]
    source, profile = item.callspec.params["evidence"] if hasattr(item, "callspec") else ("", "")
    return {
        "id": claim.id,
        "source": source,
        "profile": (profile or item.config.getoption("claims_profile")) if source == "trials" else "",
        "paper": claim.paper,
        "where": claim.where,
        "statement": claim.statement,
        "rule": str(claim.rule),
        "condition": mark.kwargs.get("condition", ""),
        "test": item.nodeid,
    }


def verdict_record(verdict: Verdict, provenance: dict[str, Any], known: str | None) -> dict[str, Any]:
    """A verdict as plain data."""
    comparison = verdict.comparison
    return {
        "verdict": verdict.word,
        "why": verdict.why,
        "would_change": verdict.would_change,
        "known_refutation": known or "",
        "cases": verdict.cases,
        "quantity": None if comparison is None else _sides(comparison),
        "tasks": [] if comparison is None else [asdict(finding) for finding in comparison.tasks],
        "effect": None if comparison is None or comparison.together is None else asdict(comparison.together),
        "p": None if comparison is None else _p_values(comparison),
        "beside": [
            {"name": other.question, "tasks": [asdict(finding) for finding in other.tasks]} for other in verdict.beside
        ],
        "provenance": provenance,
    }


def _sides(comparison: Comparison) -> dict[str, Any]:
    left, right = (None if side is None else str(side) for side in (comparison.left, comparison.right))
    return {"question": comparison.question, "left": left, "right": right, "upwards": comparison.upwards}


def _p_values(comparison: Comparison) -> dict[str, float] | None:
    """One-sided p values over tasks; the one after Holm's correction is put in when the run is complete."""
    from icl_claims.statistics.tests import sign_flip_test, sign_test

    differences = comparison.differences()
    if comparison.upwards is None or len(differences) < 2:
        return None
    sign, _ = sign_test(comparison.in_favour(), len(differences))
    flipped, smallest = sign_flip_test(differences)
    return {"sign": sign, "sign_flip": flipped, "smallest": smallest}


def with_holm(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records, their p values corrected by Holm within a family: the claims of one paper on one source."""
    from icl_claims.statistics.tests import holm

    families: dict[tuple[str, ...], dict[str, float]] = {}
    for record in records:
        if record["p"] is not None:
            family = families.setdefault((record["paper"], record["source"], record["profile"]), {})
            family[record["test"]] = record["p"]["sign_flip"]
    corrected = {test: p for family in families.values() for test, p in holm(family).items()}
    return [
        record if record["p"] is None else {**record, "p": {**record["p"], "holm": corrected[record["test"]]}}
        for record in records
    ]


def claim_of(report: pytest.CollectReport | pytest.TestReport) -> dict[str, Any] | None:
    """The claim that a report is about, with its verdict where there is one."""
    found: dict[str, Any] = {}
    for name, value in getattr(report, "user_properties", ()):
        if name in ("claim", "verdict"):
            found |= value
    return found or None


@dataclass(eq=False)
class RunRecord:
    """The claims of a run, by test, in the order in which they were decided."""

    config: pytest.Config
    started: float = field(default_factory=time.time)
    claims: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: tuple[Path, ...] = ()

    def add(self, report: pytest.TestReport) -> None:
        """Take in a report; a test that broke before its verdict is an error, never a verdict."""
        claim = claim_of(report)
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
        """The claims that were reached, in the order of their tests."""
        return with_holm([UNDECIDED | claim for _, claim in sorted(self.claims.items())])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what a test, on this process or on a worker, reports."""
        self.add(report)

    def pytest_sessionfinish(self) -> None:
        """Write claims.json and claims.html from whatever arrived."""
        if not self.claims:
            return
        from icl_claims.report.run import run_facts
        from icl_claims.report.write import write_report

        folder = Path(self.config.getoption("claims_report") or self.config.rootpath / "reports")
        facts = run_facts(_options(self.config), seconds=time.time() - self.started, root=self.config.rootpath)
        self.written = write_report(folder, facts, self.decided())

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print one line a claim, then the counts and where the report is."""
        if not self.claims:
            return
        terminalreporter.ensure_newline()
        if terminalreporter.verbosity >= 0:
            terminalreporter.section("claims")
            for claim in self.decided():
                _print_claim(terminalreporter, claim)
        counts = {word: sum(claim["verdict"] == word for claim in self.decided()) for word in WORDS}
        terminalreporter.write_line(", ".join(f"{count} {word}" for word, count in counts.items() if count))
        for path in self.written:
            terminalreporter.write_line(f"report: {path}")


def _print_claim(terminal: Any, claim: dict[str, Any]) -> None:
    source = claim["source"] + (" (paper)" if claim["profile"] == "paper" else "")
    known = " (as known)" if claim.get("known_refutation") else ""
    named = claim["id"] + (f", needs {claim['condition']}" if claim["condition"] else "")
    terminal.write(f"{claim['verdict']:<13}", **{COLOURS[claim["verdict"]]: True})
    terminal.write_line(f" {named:<30} {source:<15} {claim['paper']}, {claim['where']}{known}")


def _last_line(report: pytest.TestReport) -> str:
    lines = [line for line in str(report.longreprtext).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "The test broke."


def _options(config: pytest.Config) -> dict[str, Any]:
    names = ("profile", "model", "data", "tasks", "k", "seeds", "queries", "device", "dtype", "rates")
    chosen = {name: config.getoption(f"claims_{name}") for name in names}
    return {name: value for name, value in chosen.items() if value is not None}
