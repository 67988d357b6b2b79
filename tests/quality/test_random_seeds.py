"""Exact claims hold for any examples, or are refuted as registered: they are tried on those of seeds that nobody chose.

`pytest tests/quality -m seeds` tries many. A failure tells the seed; with `--hypothesis-seed` it is the only one tried.
"""

from __future__ import annotations

from secrets import randbelow
from shlex import quote

import pytest
from hypothesis import settings

from icl_claims.evidence.exact import PROFILE, exact_evidence
from icl_claims.pytest_plugin.fixtures import known_refutations
from tests.quality.controls import ROOT, claim_tests

REFUTED = {
    claim for claim, source, _ in known_refutations(ROOT / "claims" / "known_refutations.toml") if source == "exact"
}
EXACT = [
    pytest.param(
        test,
        "refuted" if mark.args[0].id in REFUTED and not mark.kwargs["condition"] else "supported",
        id=f"{mark.args[0].id} {mark.kwargs['condition']}".strip(),
    )
    for test, mark in claim_tests()
    if "exact" in mark.kwargs["sources"] and all(other.name != "trained" for other in test.pytestmark)
]


@pytest.fixture
def surprises(request):
    """The reasons of other verdicts than the expected one, under some fresh seeds, or under the one that was given."""

    def under(test, expected, *, seeds, examples):
        given, before = request.config.getoption("hypothesis_seed"), settings.default
        tried = [given] if given is not None else [str(randbelow(2**32)) for _ in range(seeds)]
        print("seeds:", *tried)  # noqa: T201  shown where a test fails
        settings.register_profile("fresh", settings.get_profile(PROFILE), max_examples=examples)
        settings.load_profile("fresh")
        decided = []
        for seed in tried:
            again = f"pytest {quote(request.node.nodeid)} -m 'seeds or not seeds'"
            with exact_evidence(chosen=True, seed=seed, again=again) as evidence:
                test(evidence=evidence, decide=decided.append)
        settings.register_profile("before", before)
        settings.load_profile("before")
        return [verdict.why for verdict in decided if verdict.word != expected]

    return under


@pytest.mark.parametrize(("test", "expected"), EXACT)
def test_a_claim_has_its_verdict_under_three_fresh_seeds(test, expected, surprises):
    assert surprises(test, expected, seeds=3, examples=20) == []


@pytest.mark.seeds
@pytest.mark.parametrize(("test", "expected"), EXACT)
def test_a_claim_has_its_verdict_under_twenty_fresh_seeds(test, expected, surprises):
    assert surprises(test, expected, seeds=20, examples=500) == []
