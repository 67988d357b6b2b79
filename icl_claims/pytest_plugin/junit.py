"""What JUnit XML says about a claim: its id, verdict and effect as properties of the test."""

from __future__ import annotations

from typing import Any

import pytest

OURS = ("claim", "verdict", "pictures")


def junit_properties(report: pytest.TestReport) -> list[tuple[str, Any]]:
    """A report's properties with the claim's facts, which travel as plain data, each as one of its own."""
    facts: dict[str, Any] = {}
    for name, value in report.user_properties:
        if name in ("claim", "verdict") and isinstance(value, dict):
            facts |= value
    effect = facts.get("effect") or {}
    named = {
        "id": facts.get("id"),
        "paper": facts.get("paper"),
        "where": facts.get("where"),
        "source": facts.get("source"),
        "profile": facts.get("profile"),
        "condition": facts.get("condition"),
        "verdict": facts.get("verdict", "error" if report.failed else None),
        "effect": effect.get("estimate"),
        "effect_low": effect.get("low"),
        "effect_high": effect.get("high"),
    }
    others = [(name, value) for name, value in report.user_properties if name not in OURS]
    return others + ([(name, value) for name, value in named.items() if value not in (None, "")] if facts else [])
