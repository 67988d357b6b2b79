"""How long methods take in a trial, as far as trials told."""

from __future__ import annotations

from statistics import fmean

from icl_claims.experiments.result import TrialResult
from icl_claims.methods import Method, learns_weights

ANSWER, LEARN = 0.02, 0.2
"""Seconds, before any trial told: about those of the model `tiny`. What decides is how they compare."""


class MethodCosts:
    """The mean seconds of each method over trials; of one that did not run, those of methods that learn as it does."""

    def __init__(self) -> None:
        self._seconds: dict[bool, dict[str, list[float]]] = {True: {}, False: {}}

    def note(self, result: TrialResult) -> None:
        """Take in what a trial took."""
        for method in result.spec.answering:
            if spent := result.seconds_of({method.name}):
                self._seconds[learns_weights(method)].setdefault(method.name, []).append(spent)

    def of(self, method: Method) -> float:
        """The seconds that a method takes to learn and to answer in one trial."""
        learns = learns_weights(method)
        alike = self._seconds[learns]
        known = alike.get(method.name) or [fmean(each) for each in alike.values()] or [LEARN if learns else ANSWER]
        return fmean(known)
