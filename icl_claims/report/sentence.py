"""Why a claim got its verdict, in one sentence made from the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import Any

from icl_claims.claims import EVERY_TASK
from icl_claims.report.names import in_print, split_quantity, task_name
from icl_claims.report.numbers import interval, number, p_value

Record = dict[str, Any]

_SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def verdict_sentence(claim: Record) -> str:
    """What was compared, on how many tasks it came out which way, the pooled effect, and the p values.

    A claim that is not about one quantity being higher or lower than another keeps the words of its evidence.
    """
    tasks = [finding for finding in claim["tasks"] if finding["task"] != EVERY_TASK]
    counted = [finding for finding in tasks if finding["outcome"] != "absent"]
    if not counted or not (claim["quantity"] and claim["quantity"].get("direction")):
        return in_print(claim["why"])
    parts = [_counts(claim["quantity"], tasks, counted), *_effect(claim["effect"]), *_tests(claim["p"])]
    return "; ".join(parts) + "."


def by_the_rule(claim: Record) -> str:
    """What the rule says; empty where the sentence said it already."""
    words = short_reason(claim["why"])
    return "" if verdict_sentence(claim).startswith(words) else words


def short_reason(why: str) -> str:
    """Why a verdict is what it is, without the tests over tasks, which the sentence of a verdict has."""
    return in_print(why.partition(" By the plain numbers")[0])


def count_in_words(count: int) -> str:
    """A small count as a word."""
    return _SMALL[count] if 0 <= count < len(_SMALL) else str(count)


def _counts(quantity: dict[str, str], tasks: Sequence[Record], counted: Sequence[Record]) -> str:
    by_outcome = {
        outcome: [task_name(finding["task"]) for finding in tasks if finding["outcome"] == outcome]
        for outcome in ("holds", "fails", "unclear", "absent")
    }
    upwards = quantity["direction"] == "above"
    here, there = ("higher", "lower") if upwards else ("lower", "higher")
    sentence = f"{_subject(quantity, here)} on {len(by_outcome['holds'])} of {len(tasks)} tasks"
    plain = sum((finding["difference"] or 0.0) * (1 if upwards else -1) > 0 for finding in counted)
    if plain != len(by_outcome["holds"]):
        sentence += f" ({plain} by the plain numbers)"
    others = [
        f"{words} on {', '.join(by_outcome[outcome])}"
        for outcome, words in (("fails", there), ("unclear", "undecided"), ("absent", "without evidence"))
        if by_outcome[outcome]
    ]
    return sentence + "".join(f", {other}" for other in others)


def _subject(quantity: dict[str, str], direction: str) -> str:
    (metric, whose), (other_metric, other) = split_quantity(quantity["left"]), split_quantity(quantity["right"])
    if not whose:
        return f"{_capital(metric)} is {direction} than {in_print(quantity['right'])}"
    compared = f"that of {other}" if metric == other_metric and other else in_print(quantity["right"])
    return f"{_capital(metric)} of {whose} is {direction} than {compared}"


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
