"""A claim: a sentence of a paper, its place, and the rule that decides it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import pytest

from icl_claims.claims.rules import GENERALLY, Rule
from icl_claims.errors import ClaimError

Source = Literal["exact", "printed", "author_runs", "trials"]
SOURCES: tuple[Source, ...] = ("exact", "printed", "author_runs", "trials")
Test = TypeVar("Test", bound=Callable[..., None])

PAPERS = {
    "rethinking": "Rethinking In-Context Learning in Large Language Models as Gradient Descent",
    "revisited": "Understanding In-Context Learning in Large Language Models as Gradient Descent Revisited",
    "dai": "Dai et al. 2023, Why Can GPT Learn In-Context?",
    "deutch": "Deutch et al. 2024, In-context Learning and Gradient Descent Revisited",
    "von_oswald": "von Oswald et al. 2023, Transformers Learn In-Context by Gradient Descent",
    "akyurek": "Akyürek et al. 2023, What Learning Algorithm Is In-Context Learning?",
    "irie": "Irie et al. 2022, The Dual Form of Neural Networks Revisited",
    "shen": "Shen et al. 2024, Do Pretrained Transformers Learn In-Context by Gradient Descent?",
}


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper, in our words, with its place and the rule that decides it.

    Args:
        id: its id in the ledger.
        paper: a key of `PAPERS`.
        where: section, table, equation or figure.
        statement: the claim as a sentence.
        rule: what decides it, fixed before any run.

    Raises:
        ClaimError: an unknown paper.
    """

    id: str
    paper: str
    where: str
    statement: str
    rule: Rule = field(default=GENERALLY)

    def __post_init__(self) -> None:
        if self.paper not in PAPERS:
            raise ClaimError(f"Claim {self.id}: unknown paper", expected=", ".join(PAPERS), got=repr(self.paper))

    def decided_on(self, *sources: Source, trained: bool = False) -> Callable[[Test], Test]:
        """Make a test function decide this claim, once for each source of evidence.

        The function takes the fixtures `evidence` and `decide`.

        Args:
            sources: the kinds of evidence that can speak.
            trained: whether something is trained on the way, which takes a minute.
        """
        return self._mark(sources, "", trained)

    def needs(self, condition: str) -> Callable[[Test], Test]:
        """Make a test function show that the claim fails without a condition that the paper leaves out."""
        return self._mark(("exact",), condition, False)

    def _mark(self, sources: tuple[Source, ...], condition: str, trained: bool) -> Callable[[Test], Test]:
        if not sources or set(sources) - set(SOURCES):
            raise ClaimError(f"Claim {self.id}: sources", expected=", ".join(SOURCES), got=repr(sources))

        def marked(test: Test) -> Test:
            done: Test = pytest.mark.claim(self, sources=sources, condition=condition)(test)
            return pytest.mark.trained(done) if trained else done

        return marked
