"""A claim and its verdict as plain data: what xdist workers send the controller, for claims.json and JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from icl_claims.errors import IclClaimsError

if TYPE_CHECKING:
    from icl_claims.claims import Claim, Comparison, Finding, Verdict
    from icl_claims.questions import Side

UNDECIDED: dict[str, Any] = {
    "verdict": "not run",
    "why": "The run stopped before it.",
    "plain_numbers": "",
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
"""What stands where no verdict was reached."""


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
        asks = asked_by(claim) if source in ("printed", "author_runs", "trials") else None
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


def junit_properties(report: pytest.TestReport) -> list[tuple[str, Any]]:
    """A report's properties with the claim's facts, which travel as plain data, each as one of its own."""
    facts: dict[str, Any] = {}
    for name, value in report.user_properties:
        if name in ("claim", "verdict") and isinstance(value, dict):
            facts |= value
    effect = facts.get("effect") or {}
    named = {name: facts.get(name) for name in ("id", "paper", "where", "source", "profile", "condition")}
    named["verdict"] = facts.get("verdict", "error" if report.failed else None)
    named |= {"effect": effect.get("estimate"), "effect_low": effect.get("low"), "effect_high": effect.get("high")}
    others = [(name, value) for name, value in report.user_properties if name not in ("claim", "verdict", "pictures")]
    return others + ([(name, value) for name, value in named.items() if value not in (None, "")] if facts else [])


def verdict_record(verdict: Verdict, provenance: dict[str, Any]) -> dict[str, Any]:
    """A verdict as plain data; whoever reports it adds whether a refutation is known."""
    record = UNDECIDED | {
        "verdict": verdict.word,
        "why": verdict.why,
        "plain_numbers": verdict.plain_numbers,
        "would_change": verdict.would_change,
        "cases": verdict.cases,
        "beside": [_beside(other) for other in verdict.beside],
        "provenance": provenance,
    }
    if comparison := verdict.comparison:
        record |= {"quantity": _sides(comparison), "tasks": [asdict(finding) for finding in comparison.tasks]}
        record |= {"effect": _effect(comparison.together), "p": _p_values(comparison)}
    return record


def with_holm(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records, their p values corrected by Holm within a family: the claims of one paper on one source."""
    from icl_claims.statistics.exact_tests import holm

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


def _sides(comparison: Comparison) -> dict[str, Any] | None:
    if comparison.left is None:
        return None
    sides = {"left": _side(comparison.left), "right": _side(comparison.right)}
    return sides if comparison.upwards is None else {**sides, "direction": "above" if comparison.upwards else "below"}


def _side(side: Side | None) -> dict[str, str]:
    """A quantity or a number in print, and the metric of a quantity apart from what it is of."""
    if side is None or isinstance(side, int | float):
        return {"title": f"{side:g}" if side is not None else "", "metric": "", "of": ""}
    return {"title": side.title, "metric": side.metric.title, "of": side.whose}


def _effect(together: Finding | None) -> dict[str, float] | None:
    """The difference over all tasks; None where it has no interval."""
    if together is None or together.difference is None or together.low is None or together.high is None:
        return None
    return {"estimate": together.difference, "low": together.low, "high": together.high}


def _beside(other: Comparison) -> dict[str, Any]:
    counted = [finding for finding in other.tasks if finding.outcome != "absent"]
    holds, fails = (sum(finding.outcome == outcome for finding in counted) for outcome in ("holds", "fails"))
    why = f"holds on {holds}, fails on {fails} of {len(counted)}" if counted else "no evidence"
    return {"name": other.question, "why": why, "tasks": [asdict(finding) for finding in other.tasks]}


def _p_values(comparison: Comparison) -> dict[str, float] | None:
    """One-sided p values over tasks; the one after Holm's correction is put in when the run is complete."""
    from icl_claims.statistics.exact_tests import sign_flip_test, sign_test

    differences = comparison.differences()
    if comparison.upwards is None or len(differences) < 2:
        return None
    sign, _ = sign_test(comparison.in_favour(), len(differences))
    flipped, smallest = sign_flip_test(differences)
    return {"sign": sign, "sign_flip": flipped, "smallest": smallest}
