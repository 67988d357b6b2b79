"""A claim and its verdict as plain data, which xdist workers send the controller."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from icl_claims.errors import IclClaimsError
from icl_claims.pytest_plugin.columns import column_of

if TYPE_CHECKING:
    from icl_claims.claims import Claim, Comparison, NullVerdict, Verdict
    from icl_claims.questions import Side

UNFINISHED = "no more was to be run"
"""Why no further draws are run for a claim that they could decide."""
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
    "decided_by": "",
    "beside": [],
    "nulls": [],
    "replication": None,
    "specifications": None,
    "looks": [],
    "outlook": None,
    "provenance": {},
}
"""What stands where no verdict was reached."""


def mark_of(item: Any) -> pytest.Mark | None:
    """The mark of a test that decides a claim; None for any other test, also one that another project marks so."""
    return next((mark for mark in item.iter_markers("claim") if {"sources", "condition"} <= mark.kwargs.keys()), None)


def source_of(item: Any) -> tuple[str, str]:
    """The source that a claim's test asks, and the key of the column of its trials; empty if it asks none."""
    found: tuple[str, str] = item.callspec.params["evidence"] if hasattr(item, "callspec") else ("", "")
    return found


def module_of(item: Any) -> ModuleType:
    """The module of a test."""
    found: ModuleType = item.module
    return found


def declare(item: pytest.Item, mark: pytest.Mark) -> dict[str, Any]:
    """What the test of a claim is about, as plain data.

    Raises:
        pytest.UsageError: What it asks is no question, or the registry of rules is malformed.
    """
    from icl_claims.claims.inquiries import inquiry_of
    from icl_claims.claims.registry import REGISTRY, nearest_file, rule_record

    claim: Claim = mark.args[0]
    source, profile = source_of(item)
    registry = nearest_file(REGISTRY, item.path.parent, item.config.rootpath)
    try:
        asks = asked_by(claim) if source in ("printed", "author_runs", "trials") else None
        rule = rule_record(claim, module_of(item), source, registry)
    except IclClaimsError as error:
        raise pytest.UsageError(f"{item.nodeid}: {error}") from error
    return {
        "id": claim.id,
        "source": source,
        "profile": column_of(item.config, profile).name if source == "trials" else "",
        "paper": claim.paper.id,
        "paper_title": claim.paper.title,
        "asks": asks,
        "about": claim.about or inquiry_of(claim.questions, mark.kwargs["sources"], trained=_is_trained(item)),
        "where": claim.where,
        "statement": claim.statement,
        "rule": str(claim.rule),
        **rule,
        "condition": mark.kwargs.get("condition", ""),
        "test": item.nodeid,
    }


def _is_trained(item: pytest.Item) -> bool:
    return item.get_closest_marker("trained") is not None


def asked_by(claim: Claim) -> dict[str, Any] | None:
    """What a claim asks, as plain data: its questions, and the names of all that they are about. None if nothing."""
    from icl_claims.experiments.studies import study_of
    from icl_claims.report.words import own_terms

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


def claim_of(thing: pytest.Item | pytest.CollectReport | pytest.TestReport) -> dict[str, Any] | None:
    """The claim that a test or a report is about, with its verdict where there is one."""
    found: dict[str, Any] = {}
    for name, value in getattr(thing, "user_properties", ()):
        if name in ("claim", "verdict") and isinstance(value, dict):
            found |= value
    return found or None


def junit_properties(report: pytest.TestReport) -> list[tuple[str, Any]]:
    """A report's properties with the claim's facts, which travel as plain data, each as one of its own."""
    facts = claim_of(report) or {}
    effect = facts.get("effect") or {}
    named = {name: facts.get(name) for name in ("id", "paper", "where", "source", "profile", "condition")}
    named["verdict"] = facts.get("verdict", "error" if report.failed else None)
    named |= {"known_refutation": facts.get("known_refutation"), "effect": effect.get("estimate")}
    named |= {f"effect_{name}": effect.get(name) for name in ("low", "high", "kind")}
    others = [(name, value) for name, value in report.user_properties if name not in ("claim", "verdict", "pictures")]
    return others + ([(name, value) for name, value in named.items() if value not in (None, "")] if facts else [])


@dataclass(frozen=True)
class CachedVerdict:
    """A verdict as plain data that was reached before, in UTC; it stands in for the evidence of its source."""

    source: str
    record: dict[str, Any]
    written: datetime


def verdict_record(verdict: Verdict, provenance: dict[str, Any]) -> dict[str, Any]:
    """A verdict as plain data; whoever reports it adds whether a refutation is known, and what fresh draws said."""
    record = UNDECIDED | {
        "verdict": verdict.word,
        "why": verdict.why,
        "plain_numbers": verdict.plain_numbers,
        "would_change": verdict.would_change,
        "cases": verdict.cases,
        "p": verdict.p and dict(zip(("supported", "refuted"), verdict.p, strict=True)),
        "decided_by": verdict.decided_by,
        "beside": [_beside(other) for other in verdict.beside],
        "nulls": list(map(_null, verdict.nulls)),
        "provenance": provenance,
    }
    if comparison := verdict.comparison:
        record |= {"quantity": _sides(comparison), "tasks": [asdict(finding) for finding in comparison.tasks]}
        record["effect"] = effect_of(comparison)
    return record


def _null(null: NullVerdict) -> dict[str, Any]:
    """What is said of noise; records call a word a verdict."""
    return {{"word": "verdict"}.get(name, name): value for name, value in asdict(null).items()}


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


def effect_of(comparison: Comparison | None) -> dict[str, Any] | None:
    """The difference over all tasks, and what kind of interval it has; None where it has none."""
    together = None if comparison is None else comparison.together
    if together is None or together.difference is None or together.low is None or together.high is None:
        return None
    kind = getattr(together, "interval_kind", "")
    return {"estimate": together.difference, "low": together.low, "high": together.high, "kind": kind}


def _beside(other: Comparison) -> dict[str, Any]:
    counted = [finding.outcome for finding in other.tasks if finding.outcome != "absent"]
    holds, fails = counted.count("holds"), counted.count("fails")
    why = f"holds on {holds}, fails on {fails} of {len(counted)}" if counted else "no evidence"
    return {"name": other.question, "why": why, "tasks": [asdict(finding) for finding in other.tasks]}
