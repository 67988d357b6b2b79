"""A verdict as plain data, which travels from xdist workers to the controller and into claims.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from icl_claims.claims import Comparison, Finding, Verdict
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


def verdict_record(verdict: Verdict, provenance: dict[str, Any]) -> dict[str, Any]:
    """A verdict as plain data; whoever reports it adds whether a refutation is known."""
    comparison = verdict.comparison
    return {
        "verdict": verdict.word,
        "why": verdict.why,
        "plain_numbers": verdict.plain_numbers,
        "would_change": verdict.would_change,
        "known_refutation": "",
        "cases": verdict.cases,
        "quantity": None if comparison is None else _sides(comparison),
        "tasks": [] if comparison is None else [asdict(finding) for finding in comparison.tasks],
        "effect": None if comparison is None else _effect(comparison.together),
        "p": None if comparison is None else _p_values(comparison),
        "beside": [_beside(other) for other in verdict.beside],
        "provenance": provenance,
    }


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
