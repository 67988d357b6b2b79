"""Why a claim got its verdict, in one sentence made from the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import Any

from icl_claims.claims import EVERY_TASK
from icl_claims.report.names import method_name, metric_name, quantity_name, split_quantity, task_name
from icl_claims.report.numbers import interval, number, p_value

Record = dict[str, Any]

_SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def verdict_sentence(claim: Record) -> str:
    """What was compared, on how many tasks it came out which way, the pooled effect, and the p values.

    A claim that compares no two quantities keeps the words of its evidence.
    """
    tasks = [finding for finding in claim["tasks"] if finding["task"] != EVERY_TASK]
    counted = [finding for finding in tasks if finding["outcome"] != "absent"]
    if not claim["quantity"] or not counted:
        return str(claim["why"])
    parts = [_counts(claim["quantity"], tasks, counted), *_effect(claim["effect"]), *_tests(claim["p"])]
    return "; ".join(parts) + "."


def count_in_words(count: int) -> str:
    """A small count as a word."""
    return _SMALL[count] if 0 <= count < len(_SMALL) else str(count)


def _counts(quantity: dict[str, str], tasks: Sequence[Record], counted: Sequence[Record]) -> str:
    by_outcome = {
        outcome: [task_name(finding["task"]) for finding in tasks if finding["outcome"] == outcome]
        for outcome in ("holds", "fails", "unclear", "absent")
    }
    upwards = quantity["direction"] == "above" if quantity.get("direction") else _upwards(counted)
    here, there = ("higher", "lower") if upwards else ("lower", "higher")
    sentence = f"{_subject(quantity, here)} on {len(by_outcome['holds'])} of {len(tasks)} tasks"
    others = [
        f"{words} on {', '.join(by_outcome[outcome])}"
        for outcome, words in (("fails", there), ("unclear", "undecided"), ("absent", "without evidence"))
        if by_outcome[outcome]
    ]
    return sentence + "".join(f", {other}" for other in others)


def _subject(quantity: dict[str, str], direction: str) -> str:
    left, right = quantity["left"], quantity["right"]
    (metric, method), (other_metric, other_method) = split_quantity(left), split_quantity(right)
    if method and metric == other_metric and other_method:
        name = metric_name(metric)
        return f"{_capital(name)} of {method_name(method)} is {direction} than that of {method_name(other_method)}"
    return f"{_capital(quantity_name(left))} is {direction} than {quantity_name(right)}"


def _upwards(findings: Sequence[Record]) -> bool:
    """Whether the claim says `higher`: the side on which it holds, or the other one of where it fails."""
    votes = 0
    for finding in findings:
        if finding["difference"] is not None and finding["outcome"] in ("holds", "fails"):
            votes += (1 if finding["difference"] > 0 else -1) * (1 if finding["outcome"] == "holds" else -1)
    return votes >= 0


def _effect(effect: dict[str, float] | None) -> list[str]:
    if not effect:
        return []
    return [f"pooled difference {number(effect['estimate'])} {interval(effect['low'], effect['high'])}"]


def _tests(p: dict[str, float | None] | None) -> list[str]:
    if not p:
        return []
    words = []
    if p["sign"] is not None:
        words.append(f"sign test p {p_value(p['sign'])}")
    if p["smallest"]:
        tasks = round(-log2(p["smallest"]))
        allow = "task allows" if tasks == 1 else "tasks allow"
        words.append(f"the smallest p that {count_in_words(tasks)} {allow} is {number(p['smallest'], 2)}")
    if p["sign_flip"] is not None:
        words.append(f"sign-flip test p {p_value(p['sign_flip'])}")
    if p["holm"] is not None:
        words.append(f"p {p_value(p['holm'])} after Holm's correction")
    return words


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
