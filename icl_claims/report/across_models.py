"""What the trials of several models say of one claim together: on how many it holds, and whether size matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, isnan
from typing import Any

from icl_claims.report import Record
from icl_claims.report.ledger import ClaimEntry
from icl_claims.report.verdicts import VERDICTS
from icl_claims.report.words import number, p_value

FEWEST = 4
"""Models from which on size and effect are compared; of fewer, no order would be rare."""


@dataclass(frozen=True)
class RunModel:
    """One of the models of a run.

    Args:
        name: What the run calls it.
        reference: As the reader named it.
        parameters: How many it has; None where that is not known.
    """

    name: str
    reference: str
    parameters: int | None

    @property
    def size(self) -> str:
        """Its parameters in a few letters; empty where that is not known.

        >>> RunModel("opt", "hub:facebook/opt-125m", 125_239_296).size
        '125M'
        """
        return "" if self.parameters is None else in_letters(self.parameters)


def in_letters(count: float) -> str:
    """A large number to three digits: thousands as K, millions as M, billions as B.

    >>> in_letters(114_816), in_letters(1_313_000_000), in_letters(950)
    ('115K', '1.31B', '950')
    """
    for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= unit:
            return f"{count / unit:.3g}{letter}"
    return f"{count:.0f}"


def models_of(claims: Iterable[Record], options: Mapping[str, Any]) -> list[RunModel]:
    """The models of a run that the reader named several for, the smallest first; none for any other run."""
    named: Mapping[str, Mapping[str, Any]] = options.get("models") or {}
    sizes = {claim["profile"]: claim["provenance"].get("parameters") for claim in claims if claim["provenance"]}
    found = [RunModel(name, str(given.get("model", "")), sizes.get(name)) for name, given in named.items()]
    return sorted(found, key=lambda model: inf if model.parameters is None else model.parameters)


@dataclass(frozen=True)
class ClaimOverModels:
    """A claim that trials of several models decide, or columns of several set-ups.

    Args:
        entry: Of the ledger.
        records: Those of trials, the smallest model first.
    """

    entry: ClaimEntry
    records: tuple[Record, ...]

    @property
    def of_model(self) -> Mapping[str, Record]:
        """Its record for each model, by name."""
        return {record["profile"]: record for record in self.records}

    @cached_property
    def word(self) -> str:
        """On how many models it got which word."""
        return word_over_models(self.records)

    @cached_property
    def trend(self) -> str:
        """How size and effect go together; empty for few models."""
        known = [(r["provenance"].get("parameters"), (r["effect"] or {}).get("estimate")) for r in self.records]
        return trend_of([(size, effect) for size, effect in known if size is not None and effect is not None])


def word_over_models(records: Sequence[Record]) -> str:
    """On how many models a claim got which word, those that it was not run on apart.

    >>> word_over_models([{"verdict": word} for word in ("supported", "refuted", "supported", "not run")])
    'supported on 2 of 3 models, refuted on 1; not run on 1'
    """
    counts = Counter(record["verdict"] for record in records)
    lacking = f"not run on {counts['not run']}" if counts["not run"] else ""
    run = len(records) - counts["not run"]
    said = [f"{word} on {counts[word]}" for word in VERDICTS if counts[word] and word != "not run"]
    if said:
        said[0] += f" of {run} model{'s' if run > 1 else ''}"
    return "; ".join(filter(None, (", ".join(said), lacking)))


def trend_of(known: Sequence[tuple[float, float]]) -> str:
    """Kendall's rank correlation of sizes and effects of models with its exact p value; empty for fewer than four.

    >>> trend_of([(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.5), (5, 0.4)])
    "the effect grows with size (Kendall's tau .800, p = .083, 5 models)"
    """
    if len({size for size, _ in known}) < FEWEST:
        return ""
    from scipy.stats import kendalltau

    found = kendalltau(*zip(*known, strict=True))
    if isnan(found.statistic):  # all effects are equal
        return ""
    word = "grows" if found.statistic > 0 else "falls" if found.statistic < 0 else "does not change"
    tau = number(float(found.statistic), 3)
    return f"the effect {word} with size (Kendall's tau {tau}, p {p_value(float(found.pvalue))}, {len(known)} models)"


def over_models(entries: Iterable[ClaimEntry]) -> dict[str, ClaimOverModels]:
    """By anchor, what trials of several set-ups say of the claims that have them, the smallest model first."""
    found = {}
    for entry in entries:
        of_trials = [record for record in entry.deciding if record["source"] == "trials"]
        ordered = sorted(of_trials, key=lambda record: record["provenance"].get("parameters") or inf)
        if len(ordered) > 1:
            found[entry.anchor] = ClaimOverModels(entry, tuple(ordered))
    return found
