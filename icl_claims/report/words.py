"""The words of a report: names, numbers as the papers print them, and why a claim got its verdict in one sentence."""

from collections.abc import Sequence
from math import floor, log2, log10

from icl_claims.claims import EVERY_TASK
from icl_claims.report import Record
from icl_claims.tasks import title_of_task

SOURCE_NAMES = {"exact": "exact", "printed": "printed", "author_runs": "author runs", "trials": "trials"}


def paper_name(paper: str) -> str:
    """The short name of a paper: `von_oswald` is `Von Oswald`."""
    return " ".join(word[:1].upper() + word[1:] for word in paper.split("_"))


def source_name(source: str, profile: str = "") -> str:
    """A source of evidence, with the profile of its trials."""
    return SOURCE_NAMES.get(source, source) + (f", {profile}" if profile else "")


MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
FINEST = 1e-4  # no table of the papers prints more than four decimals


def number(value: float | None, digits: int = 3) -> str:
    """A number to that many significant digits, at most four decimals; a dash for nothing."""
    if value is None:
        return DASH
    size = abs(value)
    if size >= 10**digits:
        text = f"{value:,.0f}"
    elif size >= 1 or 0 < size < FINEST / 2:
        text = f"{value:.{digits}g}" if size >= 1 else f"{value:.0e}"
    else:
        places = 0 if size == 0 else min(4, digits - 1 - floor(log10(size)))
        text = f"{size:.{places}f}"
        text = ("-" if value < 0 else "") + (text[1:] if text.startswith("0.") else text)
    return text.replace("-", MINUS)


def p_value(value: float) -> str:
    """A p value to two significant digits, with its sign of relation: `= .11` or `< .0001`."""
    return f"< {number(FINEST)}" if value < FINEST else f"= {number(value, 2)}"


def interval(low: float | None, high: float | None) -> str:
    """Both bounds of an interval; a dash where it is not known."""
    return DASH if low is None or high is None else f"[{number(low)}, {number(high)}]"


def duration(seconds: float) -> str:
    """Seconds in words: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


_SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def verdict_sentence(claim: Record) -> str:
    """What was compared, on how many tasks it came out which way, the pooled effect, and the p values.

    A claim that is not about one quantity being higher or lower than another keeps the words of its evidence, and so
    does a record of a version that did not tell a metric from what it is of.
    """
    tasks = [finding for finding in claim["tasks"] if finding["task"] != EVERY_TASK]
    counted = [finding for finding in tasks if finding["outcome"] != "absent"]
    compared = claim["quantity"]
    if not counted or not compared or "direction" not in compared or not compared["left"]["metric"]:
        return str(claim["why"])
    parts = [_counts(compared, tasks, counted), *_effect(claim["effect"]), *_tests(claim["p"])]
    return "; ".join(parts) + "."


def by_the_rule(claim: Record) -> str:
    """What the rule says; empty where the sentence said it already."""
    return "" if verdict_sentence(claim).startswith(claim["why"]) else str(claim["why"])


def reasons(claim: Record) -> str:
    """Why a verdict is what it is, and what the plain numbers say."""
    return f"{claim['why']} {claim.get('plain_numbers', '')}".rstrip()


def _counts(quantity: Record, tasks: Sequence[Record], counted: Sequence[Record]) -> str:
    by_outcome = {
        outcome: [title_of_task(finding["task"]) for finding in tasks if finding["outcome"] == outcome]
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


def _subject(quantity: Record, direction: str) -> str:
    left, right = quantity["left"], quantity["right"]
    other = f"that of {right['of']}" if right["metric"] == left["metric"] else right["title"]
    return f"{left['title'][:1].upper()}{left['title'][1:]} is {direction} than {other}"


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
        many, allow = dict(enumerate(_SMALL)).get(tasks, str(tasks)), "task allows" if tasks == 1 else "tasks allow"
        words.append(f"the smallest p that {many} {allow} is {number(p['smallest'], 2)}")
    if p["sign_flip"] is not None:
        words.append(f"sign-flip test p {p_value(p['sign_flip'])}")
    if p["holm"] is not None:
        words.append(f"p {p_value(p['holm'])} after Holm's correction")
    return words
