"""Exact evidence: what refutes, what is told of it, and on which examples a property is tried."""

from __future__ import annotations

import json
from types import SimpleNamespace

import hypothesis.core
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_claims.evidence.exact import DisagreementError, ExactEvidence, exact_evidence


def test_two_sides_that_agree_are_counted():
    evidence = ExactEvidence()
    verdict = evidence.every(lambda: evidence.equal([1.0, 2.0], np.array([1.0, 2.0 + 1e-12]), "x = y"))
    assert (verdict.word, verdict.cases) == ("supported", 1)
    assert evidence.worst == pytest.approx(5e-13, rel=1e-2)


@pytest.mark.parametrize(
    "disagree",
    [
        lambda e: e.equal([1.0], [1.1], "x = y"),
        lambda e: e.equal([1.0], [np.nan], "x = y"),
        lambda e: e.equal([1.0], [[1.0]], "x = y"),
        lambda e: e.equal([1e-8], [1.1e-8], "x = y", within=0.02),
        lambda e: e.different([1.0], [1.0], "x = y"),
        lambda e: e.different([np.nan], [1.0], "x = y"),
        lambda e: e.different([1.0], [[1.0]], "x = y"),
        lambda e: e.check(False, "x = y"),
    ],
)
def test_a_disagreement_refutes_and_names_the_equation(disagree):
    evidence = ExactEvidence()
    verdict = evidence.every(lambda: disagree(evidence))
    assert verdict.word == "refuted"
    assert "x = y" in verdict.why


def test_an_error_of_another_kind_is_not_a_verdict():
    with pytest.raises(ZeroDivisionError):
        ExactEvidence().every(lambda: SimpleNamespace(value=1 / 0))
    assert issubclass(DisagreementError, AssertionError)


@pytest.mark.parametrize(("apart", "word"), [((0, 1, 1), "supported"), ((0, 1), "refuted"), ((0, 0, 1), "refuted")])
def test_two_things_differ_if_they_do_in_most_cases(apart, word):
    evidence = ExactEvidence()

    def differ():
        for by in apart:
            evidence.different([1.0], [1.0 + by], "x and y")
        for by in (1, 1, 1):
            evidence.different([1.0], [1.0 + by], "v and w")

    verdict = evidence.every(differ)
    assert (verdict.word, verdict.cases) == (word, len(apart) + 3)
    if word == "refuted":
        assert f"x and y: the sides differ in only {sum(apart)} of {len(apart)} cases" in verdict.why


def test_cases_of_one_property_do_not_outvote_those_of_another():
    evidence = ExactEvidence()
    many = [lambda: evidence.different([1.0], [2.0], "x and y")] * 3
    assert evidence.every(*many, lambda: evidence.different([1.0], [1.0], "x and y")).word == "refuted"


# Examples


def drawn(**options):
    """What a property is tried on, the seed, and how often."""
    numbers = []
    with exact_evidence(**options) as evidence:

        @given(st.integers(0, 2**64))
        def tried(number):
            numbers.append(number)

        evidence.every(tried)
    return numbers, evidence.seed


def test_examples_are_the_same_in_every_run_unless_seeded():
    numbers, seed = drawn()
    assert (len(numbers), seed) == (50, None)
    assert drawn() == (numbers, None)
    assert drawn(seed="1") == drawn(seed="1")
    assert len({tuple(drawn(seed=seed)[0]) for seed in (None, "1", "2")}) == 3


def test_a_chosen_profile_says_how_many_examples_are_tried(restored):
    settings.register_profile("seven", max_examples=7, deadline=1, derandomize=False)
    settings.load_profile("seven")
    numbers, seed = drawn(chosen=True)
    assert len(numbers) == 7
    assert drawn(chosen=True)[1] != seed
    assert drawn(chosen=True, seed=seed) == (numbers, seed)
    assert len(drawn()[0]) == 50


def test_no_verdict_rests_on_speed_or_on_earlier_failures(restored):
    settings.register_profile("hasty", deadline=1)
    settings.load_profile("hasty")
    for chosen in (False, True):
        with exact_evidence(chosen=chosen):
            assert (settings.default.deadline, settings.default.database) == (None, None)
    assert settings.default.deadline.microseconds == 1000


def test_a_refutation_tells_its_example_and_how_to_see_it_again():
    with exact_evidence(seed="3", again="pytest claims") as evidence:

        @given(st.integers(0, 100), st.just(torch.zeros(30, dtype=torch.float64)), st.just("x" * 1000))
        def small(number, tensor, text):
            evidence.check(number < 10, "a number is small")

        why = evidence.every(small).why
    assert why.startswith("A case fails: a number is small: does not hold. Example: small(number=10, tensor=tensor([0.")
    assert why.endswith("... See it again: pytest claims --hypothesis-seed=3")
    assert len(why) < 800


# The command line, in a folder of one's own

CLAIM = """
    from hypothesis import given, strategies as st
    from icl_claims.claims import IN_EVERY_CASE, Paper

    @Paper("note", "A note").claim("small", where="section 1", rule=IN_EVERY_CASE, on="exact")
    def test_numbers_are_small(evidence, decide):
        "Numbers are small."

        @given(st.integers(0, 2**30))
        def small(number):
            with open("numbers.txt", "a") as file:
                print(number, file=file)
            evidence.check(number < {bound}, "a number is small")

        decide(evidence.every(small))
"""


@pytest.fixture
def restored(monkeypatch):
    """The settings of Hypothesis after a test that changes them."""
    monkeypatch.setattr(hypothesis.core, "global_force_seed", None)
    settings.register_profile("before", settings.default)
    yield
    settings.load_profile("before")


@pytest.fixture
def tried(pytester, restored, monkeypatch):
    """Decide the claim; gives the numbers that it was tried on, and its record."""
    monkeypatch.setenv("ICL_CLAIMS_CACHE", str(pytester.path / "cache"))

    def run(*options, bound=2**31):
        pytester.makepyfile(CLAIM.format(bound=bound))
        file = pytester.path / "numbers.txt"
        file.unlink(missing_ok=True)
        pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)
        [claim] = json.loads((pytester.path / "reports" / "claims.json").read_text(encoding="utf-8"))["claims"]
        return file.read_text().split() if file.exists() else [], claim

    return run


def test_examples_need_no_conftest_and_follow_seed_and_profile(tried):
    numbers, claim = tried()
    assert (len(numbers), claim["verdict"]) == (50, "supported")
    assert tried("--claims-again")[0] == numbers
    assert tried("--claims-again", "--hypothesis-profile=icl_claims")[0] == numbers
    seeded = tried("--claims-again", "--hypothesis-seed=1")[0]
    assert len(seeded) == 50
    assert seeded != numbers
    many = tried("--claims-again", "--hypothesis-seed=1", "--hypothesis-profile=default")[0]
    assert len(many) == 100


def test_examples_drawn_by_chance_are_drawn_in_every_run(tried):
    """Cached is what another run would find again: the verdict under a seed, not under a profile that draws its own."""
    assert len(tried("--hypothesis-seed=1", "--hypothesis-profile=default")[0]) == 100
    assert tried("--hypothesis-seed=1", "--hypothesis-profile=default")[0] == []
    by_chance = [tried("--hypothesis-profile=default")[0] for _ in range(2)]
    assert by_chance[0] != by_chance[1]


def test_the_report_shows_the_failing_example_and_its_command(tried):
    _, claim = tried("--hypothesis-profile=default", bound=1000)
    assert claim["verdict"] == "refuted"
    assert "Example: small(number=1000). See it again: icl-claims run " in claim["why"]
    node = "test_the_report_shows_the_failing_example_and_its_command.py::test_numbers_are_small[exact]"
    command = claim["why"].partition(" again: icl-claims run ")[2]
    assert command.startswith(f"'{node}' --claims-again --hypothesis-profile=default --hypothesis-seed=")
    assert tried(*command.split()[1:], bound=1000)[1]["why"] == claim["why"]
