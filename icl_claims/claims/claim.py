"""A claim: a sentence of a paper, its place, the rule that decides it, and what it asks; and the papers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import pytest

from icl_claims.claims.comparison import Comparison
from icl_claims.claims.rules import GENERALLY, NullVerdict, Rule, Verdict
from icl_claims.errors import ClaimError
from icl_claims.fixtures_folder import fixtures_folder
from icl_claims.questions import Question

SOURCES = ("exact", "printed", "author_runs", "trials")
Asked = Question | tuple[Question, ...]
"""What a claim asks: one question, or the one that decides and then the secondary ones."""
_Test = Callable[..., Any]


class Decide(Protocol):
    """The fixture that records a verdict, and gives the test the outcome that belongs to it."""

    def __call__(
        self,
        found: Verdict | Comparison,
        *,
        beside: tuple[Comparison, ...] = (),
        nulls: tuple[NullVerdict, ...] = (),
    ) -> None:
        """Take a verdict, or a comparison that the claim's rule decides, and comparisons that do not decide."""


@dataclass(frozen=True)
class Paper:
    """A paper, or any other work whose sentences are claims, with a short name such as `rethinking`.

    >>> mine = Paper("mine", "A note of my own")
    >>> @mine.claim("sum", where="section 1", on="exact")
    ... def test_sums(evidence, decide):
    ...     '''One and one is two.'''
    >>> test_sums.claim.statement
    'One and one is two.'
    """

    id: str
    title: str

    def claim(
        self, name: str, *, where: str, on: str, rule: Rule = GENERALLY, trained: bool = False, read_off: str = ""
    ) -> Callable[[_Test], Deciding]:
        """Make a test decide a claim of this paper; its docstring is the statement.

        A test without arguments returns what the claim asks, and the evidence of each source answers. Another one takes
        the fixtures `evidence` and `decide`.

        Args:
            name: Id of the claim in the ledger.
            where: Section, table, equation or figure.
            on: The sources of evidence that can decide it, separated by blanks.
            rule: What decides it, fixed before any run.
            trained: Whether something is trained on the way, which takes a minute.
            read_off: A sentence that says so, where the rule was read off the evidence that decides it.

        Raises:
            ClaimError: The test has no docstring, or a source is unknown.
        """

        def declared(test: _Test) -> Deciding:
            statement = " ".join((test.__doc__ or "").split())
            if not statement:
                stripped, todo = sys.flags.optimize > 1, "State the claim in the docstring of its test."
                todo = "Run Python without -OO, which drops all docstrings." if stripped else todo
                raise ClaimError(f"The claim {name} has no statement", expected="a sentence", todo=todo)
            claim = Claim(name, self, where, statement, rule, _asks(test), read_off)
            return claim.decided_on(*on.split(), trained=trained)(test)

        return declared


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper, in our words, with its place and the rule that decides it.

    >>> from icl_claims import Finetuning, LayerCausal, Paper, at_least, sim_aou
    >>> @Paper("note", "A note").claim("closer", where="section 1", rule=at_least(5), on="author_runs")
    ... def test_closer():
    ...     '''On 5 of 6 tasks, it is closer.'''
    ...     return sim_aou(LayerCausal()) > sim_aou(Finetuning())
    >>> test_closer.claim.id, str(test_closer.claim.questions[0])
    ('closer', 'SimAOU of layer-causal finetuning above SimAOU of finetuning')

    Args:
        asks: Gives what it asks; None for a claim that is no comparison of quantities. For the rest see `Paper.claim`.
    """

    id: str
    paper: Paper
    where: str
    statement: str
    rule: Rule = GENERALLY
    asks: Callable[[], Asked] | None = field(default=None, repr=False)
    read_off: str = ""

    @property
    def questions(self) -> tuple[Question, ...]:
        """What it asks: the question that decides, then the secondary ones. Empty if it is no comparison.

        Raises:
            ClaimError: Its test returns something else.
        """
        if self.asks is None:
            return ()
        asked = self.asks()
        found = asked if isinstance(asked, tuple) else (asked,)
        if not found or not all(isinstance(question, Question) for question in found):
            wanted = "a question, or a tuple of questions, the deciding one first"
            raise ClaimError(f"The claim {self.id} asks no question", expected=wanted, got=repr(asked))
        return found

    @property
    def deciding(self) -> Question | None:
        """The question that decides, whose words may be as often wrong as the rule allows; None if it asks none."""
        asked = self.questions[:1]
        errors = self.rule.errors
        return next((one if errors is None else one.allowing(errors) for one in asked), None)

    def decided_on(self, *sources: str, trained: bool = False) -> Callable[[_Test], Deciding]:
        """Make another test decide this claim, once for each of the sources of evidence; as in `Paper.claim`."""
        return self._mark(sources, "", trained)

    def needs(self, condition: str) -> Callable[[_Test], Deciding]:
        """Make a test show that the claim is false without a condition that the paper leaves out."""
        return self._mark(("exact",), condition, False)

    def _mark(self, sources: tuple[str, ...], condition: str, trained: bool) -> Callable[[_Test], Deciding]:
        if not sources or set(sources) - set(SOURCES):
            raise ClaimError(f"The claim {self.id} has no such sources", expected=", ".join(SOURCES), got=repr(sources))

        def marked(test: _Test) -> Deciding:
            done = pytest.mark.claim(self, sources=sources, condition=condition)(test)
            if _asks(test) not in (None, self.asks):
                todo = f"Give it a body: def {test.__name__}(evidence, decide)."
                raise ClaimError(f"A further test of the claim {self.id} asks nothing", todo=todo)
            if _asks(test) is not None:
                done = pytest.mark.usefixtures("evidence", "decide")(done)
            deciding = cast("Deciding", pytest.mark.trained(done) if trained else done)
            deciding.claim = self
            return deciding

        return marked


class Deciding(Protocol):
    """A test that decides a claim."""

    claim: Claim
    __call__: Any


def _asks(test: _Test) -> Callable[[], Asked] | None:
    takes_fixtures = test.__code__.co_argcount + test.__code__.co_kwonlyargcount > 0
    return None if takes_fixtures else test


rethinking = Paper("rethinking", "Rethinking In-Context Learning in Large Language Models as Gradient Descent")
revisited = Paper(
    "revisited", "Understanding In-Context Learning in Large Language Models as Gradient Descent Revisited"
)
dai = Paper("dai", "Dai et al. 2023, Why Can GPT Learn In-Context?")
deutch = Paper("deutch", "Deutch et al. 2024, In-context Learning and Gradient Descent Revisited")
von_oswald = Paper("von_oswald", "von Oswald et al. 2023, Transformers Learn In-Context by Gradient Descent")
akyurek = Paper("akyurek", "Akyürek et al. 2023, What Learning Algorithm Is In-Context Learning?")
irie = Paper("irie", "Irie et al. 2022, The Dual Form of Neural Networks Revisited")
shen = Paper("shen", "Shen et al. 2024, Do Pretrained Transformers Learn In-Context by Gradient Descent?")
min_et_al = Paper("min", "Min et al. 2022, Rethinking the Role of Demonstrations")
wei = Paper("wei", "Wei et al. 2023, Larger Language Models Do In-Context Learning Differently")
kossen = Paper(
    "kossen", "Kossen et al. 2024, In-Context Learning Learns Label Relationships but Is Not Conventional Learning"
)
hendel = Paper("hendel", "Hendel et al. 2023, In-Context Learning Creates Task Vectors")
han = Paper("han", "Han et al. 2023, on in-context learning as kernel regression")

_OF_THE_TWO_PAPERS = (rethinking, revisited)
_OF_FOLLOW_UPS = (dai, deutch, von_oswald, akyurek, irie, shen)
_OF_OTHER_HYPOTHESES = (min_et_al, wei, kossen, hendel, han)
PAPERS = {paper.id: paper for paper in (*_OF_THE_TWO_PAPERS, *_OF_FOLLOW_UPS, *_OF_OTHER_HYPOTHESES)}


def coverage_of_papers(claims: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the papers of a run's claims contain, sentence by sentence and table by table, in the papers' order.

    A claim that no sentence of the list names stands under its own.

    Returns:
        Entries with `paper`, `where`, `what`, `claims` (ids of those that decide it) and `note` (why there is none).
    """
    by_id = {claim["id"]: claim for claim in claims}
    papers = {claim["paper"] for claim in by_id.values()}
    known = json.loads((fixtures_folder() / "coverage.json").read_text(encoding="utf-8"))
    sentences = [(paper, one) for paper, of_paper in known.items() if paper in papers for one in of_paper]
    named = {name for _, one in sentences for name in one["claims"]}
    found = [(paper, one["place"], one["says"], one["claims"], one.get("note", "")) for paper, one in sentences]
    found += [
        (one["paper"], one["where"], one["statement"], [name], "") for name, one in by_id.items() if name not in named
    ]
    fields, order = ("paper", "where", "what", "claims", "note"), list(dict.fromkeys((*known, *papers)))
    return [dict(zip(fields, one, strict=True)) for one in sorted(found, key=lambda one: order.index(one[0]))]
