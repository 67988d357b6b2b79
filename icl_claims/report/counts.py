"""How many records of a run got each word, and how many different questions stand behind them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from icl_claims.report import Record
from icl_claims.report.verdicts import VERDICTS


@dataclass(frozen=True)
class Count:
    """The records with one word; identical questions are one.

    >>> str(Count("supported", 33, 28)), str(Count("refuted", 6, 6))
    ('33 supported (28 questions)', '6 refuted')
    """

    word: str
    records: int
    questions: int

    def __str__(self) -> str:
        return f"{self.records} {self.word}" + (f" ({self.behind})" if self.behind else "")

    @property
    def behind(self) -> str:
        """The questions in words; empty where each record has its own."""
        if self.questions == self.records:
            return ""
        return f"{self.questions} question{'s' if self.questions > 1 else ''}"


def counts_of(claims: Iterable[Record]) -> list[Count]:
    """A count for each word that some record got, in the order of the words."""
    asked: dict[str, list[tuple[Any, ...]]] = {word: [] for word in VERDICTS}
    for place, claim in enumerate(claims):
        asked[claim["verdict"]].append(question_of(claim) or (place,))
    return [Count(word, len(keys), len(set(keys))) for word, keys in asked.items() if keys]


def question_of(claim: Record) -> tuple[str, str, str] | None:
    """What two records have in common that ask the same: source, profile and question; None for one that asks none."""
    questions = (claim["asks"] or {}).get("questions")
    return (claim["source"], claim["profile"], questions[0]) if questions else None
