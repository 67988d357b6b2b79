"""The words of a verdict: what each means to a reader, and how pytest, the terminal, CTRF and EARL say it.

A known refutation, which is registered with its reason, says nothing new about a claim. It is an expected failure in
every form, neither among what passed nor among what failed: skipped as `pytest.xfail` in JUnit XML, `other` in CTRF, an
outcome of its own in EARL, of the class `earl:Fail`. The word itself and the reason stand beside it in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icl_claims.claims import Word


@dataclass(frozen=True)
class VerdictWord:
    """A word that a record of a run can have.

    Args:
        meaning: What it says, in a sentence or two.
        test: Outcome of its test in pytest: passed, failed or skipped.
        letter: What pytest prints for it as tests go by.
        colour: Of the word in the terminal, as pytest names it.
        ctrf: Status in the Common Test Report Format.
        earl: Outcome in the Evaluation and Report Language.
    """

    word: str
    meaning: str
    test: str
    letter: str
    colour: str
    ctrf: str
    earl: str


VERDICT_WORDS = (
    VerdictWord(
        "supported",
        "The rule is met, whatever the undecided tasks would say.",
        test="passed",
        letter=".",
        colour="green",
        ctrf="passed",
        earl="earl:passed",
    ),
    VerdictWord(
        "consistent",
        "The printed table agrees with the sentence. A table prints no sampling error, so this is no support.",
        test="passed",
        letter=".",
        colour="cyan",
        ctrf="passed",
        earl="earl:passed",
    ),
    VerdictWord(
        "refuted",
        "The rule can no longer be met, whatever the undecided tasks would say.",
        test="failed",
        letter="F",
        colour="red",
        ctrf="failed",
        earl="earl:failed",
    ),
    VerdictWord(
        "inconsistent",
        "The printed table disagrees with the sentence, beyond the rounding of its figures.",
        test="failed",
        letter="F",
        colour="red",
        ctrf="failed",
        earl="earl:failed",
    ),
    VerdictWord(
        "vacuous",
        "The sentence holds, and so does noise: a planted null passes the same rule.",
        test="skipped",
        letter="v",
        colour="purple",
        ctrf="other",
        earl="earl:cantTell",
    ),
    VerdictWord(
        "inconclusive",
        "There is evidence, and it cannot tell.",
        test="skipped",
        letter="?",
        colour="yellow",
        ctrf="other",
        earl="earl:cantTell",
    ),
    VerdictWord(
        "not run",
        "There is no evidence here.",
        test="skipped",
        letter="-",
        colour="light",
        ctrf="skipped",
        earl="earl:untested",
    ),
    VerdictWord(
        "error",
        "The machine failed, which says nothing about the claim.",
        test="failed",
        letter="E",
        colour="red",
        ctrf="failed",
        earl="earl:cantTell",
    ),
)
"""Every word, in the order of counts."""
OF_WORD = {one.word: one for one in VERDICT_WORDS}
VERDICTS = tuple(OF_WORD)
WORST_FIRST = ("error", "refuted", "inconsistent", "vacuous", "inconclusive", "not run", "consistent", "supported")
REFUTING = ("refuted", "inconsistent")
"""What a registered refutation expects."""
ON_PRINTED: dict[Word, Word] = {"supported": "consistent", "refuted": "inconsistent"}
"""What printed tables say in the place of words about samples."""


def known_as(verdict: str, reason: str) -> str:
    """How a refutation is named that is known for a reason; empty for any other verdict.

    >>> known_as("refuted", "The model is another one."), known_as("supported", "")
    ('refuted, as known', '')
    """
    return f"{verdict}, as known" if reason and verdict in REFUTING else ""
