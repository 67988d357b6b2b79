"""The answer first: what the verdicts of a run say to each question of the field, and what they cannot say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from icl_claims.claims.inquiries import INQUIRIES, Inquiry
from icl_claims.report import Record
from icl_claims.report.ledger import ClaimEntry
from icl_claims.report.words import source_name
from icl_claims.tasks import PAPERS_TASKS

NAMED = 5
"""Claims that are named for a word; the others are counted."""
_TOLD = ("supported", "consistent", "refuted", "inconsistent", "vacuous")
"""Words whose claims are named."""
_UNTOLD = ("inconclusive", "error")
_FIRST = ("abstract", "section 6", "section 1")
"""Places of what a paper says first of all: its statements stand for a question."""


@dataclass(frozen=True)
class Told:
    """The claims that some evidence gave one word.

    Args:
        entries: Those that are named.
        more: How many others there are.
    """

    word: str
    entries: tuple[ClaimEntry, ...]
    more: int

    @property
    def count(self) -> int:
        """How many claims there are in all."""
        return len(self.entries) + self.more


@dataclass(frozen=True)
class Saying:
    """What one source of evidence says of the claims about a question.

    Args:
        name: Of the source, with the set-up of trials.
        asked: How many claims it could decide.
        told: By word, the worst words among those that tell last.
        undecided: How many it leaves open.
    """

    name: str
    asked: int
    told: tuple[Told, ...]
    undecided: int


@dataclass(frozen=True)
class Answer:
    """What a run says to a question of the field.

    Args:
        sayings: Of each source that was asked.
        statements: A claim that holds wherever it was decided, and one that holds nowhere, where there are such.
    """

    inquiry: Inquiry
    sayings: tuple[Saying, ...]
    statements: tuple[tuple[str, ClaimEntry], ...]


def answers(entries: Iterable[ClaimEntry]) -> list[Answer]:
    """The answers of a run, in the order of the questions; none to a question that no claim of the run is about."""
    known = [entry for entry in entries if entry.deciding]
    found = []
    for inquiry in INQUIRIES:
        about = [entry for entry in known if entry.first["about"] == inquiry.name]
        sayings = tuple(_sayings(about))
        if sayings:
            found.append(Answer(inquiry, sayings, tuple(_statements(about))))
    return found


def _sayings(entries: Sequence[ClaimEntry]) -> Iterable[Saying]:
    by_source: dict[str, dict[str, list[ClaimEntry]]] = {}
    for entry in entries:
        for claim in entry.deciding:
            if claim["verdict"] != "not run":
                of = by_source.setdefault(source_name(claim["source"], claim["profile"]), {})
                of.setdefault(claim["verdict"], []).append(entry)
    for name, of in sorted(by_source.items(), key=lambda item: not item[0].startswith(("exact", "trials"))):
        told = tuple(Told(word, tuple(of[word][:NAMED]), len(of[word][NAMED:])) for word in _TOLD if word in of)
        undecided = sum(len(of.get(word, ())) for word in _UNTOLD)
        yield Saying(name, sum(map(len, of.values())), told, undecided)


def _statements(entries: Sequence[ClaimEntry]) -> Iterable[tuple[str, ClaimEntry]]:
    """Of each kind, the claim on which the most sources agree; of several, that of the most prominent place."""
    for one, good in (("holds", ("supported", "consistent")), ("fails", ("refuted", "inconsistent"))):
        alike = [entry for entry in entries if (words := _decided(entry)) and all(word in good for word in words)]
        if alike:
            yield one, min(alike, key=_prominence)


def _decided(entry: ClaimEntry) -> list[str]:
    """What the evidence that can tell says of a claim: not what printed tables say alone."""
    words = [claim["verdict"] for claim in entry.deciding if claim["verdict"] in _TOLD]
    beyond_print = any(claim["source"] != "printed" for claim in entry.deciding if claim["verdict"] in _TOLD)
    return words if beyond_print else []


def _prominence(entry: ClaimEntry) -> tuple[int, int, int]:
    where, paper = entry.first["where"], entry.first["paper"]
    place = next((rank for rank, start in enumerate(_FIRST) if where.startswith(start)), len(_FIRST))
    return -len(_decided(entry)), place, 0 if paper in ("rethinking", "revisited") else 1


def limits(claims: Iterable[Record]) -> list[str]:
    """What the evidence of a run cannot say, in sentences: of which models and data its trials were."""
    set_ups: dict[str, Mapping[str, object]] = {}
    for claim in claims:
        if claim["source"] == "trials" and claim["verdict"] != "not run" and claim["provenance"]:
            set_ups.setdefault(claim["profile"], claim["provenance"])
    said = [
        f"Trials of {name} ask the model {facts.get('model', name)} about {facts.get('data', 'its tasks')}."
        for name, facts in set_ups.items()
    ]
    if set_ups:
        many = len({str(facts.get("model")) for facts in set_ups.values()})
        models = "One model is" if many == 1 else f"{many} models are"
        said.append(f"{models} no sample of all models, and {len(PAPERS_TASKS)} tasks none of all tasks.")
    return said
