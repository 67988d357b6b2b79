"""Claims are looked at in the order of the work that is missing until they are probably decided."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from icl_claims.claims import Claim, Paper
from icl_claims.methods import Finetuning, LayerCausal, Linearized
from icl_claims.pytest_plugin.agenda import Agenda
from icl_claims.pytest_plugin.planned_claims import PlannedClaim

FT, LC, LIN = Finetuning(), LayerCausal(), Linearized()
MINE = Paper("mine", "A note")
LOOKS = (8, 12, 16, 20, 24)


def planned(name, look=0, needed=None):
    return PlannedClaim(name, Claim(name, MINE, "section 1", "It is so."), print, frozenset(), look, needed)


def agenda(claims, asks, stored=(), hurried=True):
    """The agenda of some claims, which need methods on tasks; those that are stored lack nothing."""

    def missing(one, look):
        for task, *methods in asks[one.test]:
            if (one.test, look) not in stored:
                yield SimpleNamespace(task=task, weights="trained", methods=methods, metrics=(), diagnostics=False)

    def look_after(draws):
        return next((look for look in LOOKS if look > draws), None)

    return Agenda(claims, look_after, missing, lambda method: 8.0 if method in (FT, LC, LIN) else 1.0, lambda: hurried)


def order(found, after=lambda one, look: True):
    """The names in which claims are looked at, with the draws, until none goes on."""
    seen = []
    while taken := found.take():
        claims, look = taken
        seen.append((sorted(one.test for one in claims), look))
        for one in claims:
            one.look = look
        found.put_back([one for one in claims if after(one, look)])
    return seen


def test_the_cheapest_is_looked_at_first_with_all_that_need_nothing_else():
    asks = {"many": [("sst2", FT, LC, LIN)], "one": [("sst2", FT)], "same": [("sst2", FT)], "none": [("sst2",)]}
    found = agenda([planned(name) for name in asks], asks)
    assert order(found, after=lambda one, look: False) == [(["none"], 8), (["one", "same"], 8), (["many"], 8)]


def test_claims_are_taken_along_that_add_no_more_than_the_cheapest_needs():
    asks = {"one": [("sst2", FT)], "both": [("sst2", FT, LC)], "all": [("sst2", FT, LC, LIN)], "far": [("mr", LC, LIN)]}
    found = agenda([planned(name) for name in asks], asks)
    assert order(found, after=lambda one, look: False) == [(["all", "both", "one"], 8), (["far"], 8)]


def test_a_claim_is_looked_at_until_others_are_nearer_to_their_decision():
    asks = {"slow": [("sst2", FT)], "dear": [("sst2", LC, LIN)]}
    found = agenda([planned("slow"), planned("dear")], asks)

    def after(one, look):
        one.needed = 200
        return one.test == "slow"

    assert order(found, after)[:3] == [(["slow"], 8), (["dear"], 8), (["slow"], 12)]


def test_a_claim_that_is_nearly_decided_goes_before_a_first_look_at_another():
    asks = {"near": [("sst2", FT)], "far": [("sst2", FT)], "new": [("mr", FT)]}
    found = agenda([planned("far", 8, 100), planned("near", 8, 11), planned("new")], asks)
    claims, look = found.take()
    assert look == 12
    assert {one.test for one in claims} == {"far", "near"}  # the same trials speak to both
    assert [one.test for one in found.take()[0]] == ["new"]


@pytest.mark.parametrize(("look", "first"), [(8, "known"), (16, "new")])
def test_where_nothing_is_known_as_many_draws_again_are_counted(look, first):
    asks = {"known": [("sst2", FT)], "new": [("mr", FT, LC)]}
    (one, *_), _ = agenda([planned("known", look), planned("new")], asks).take()
    assert one.test == first


def test_what_is_stored_costs_nothing_and_is_looked_at_first():
    asks = {"cheap": [("sst2", FT)], "stored": [("mr", FT, LC)]}
    found = agenda([planned("cheap"), planned("stored")], asks, stored=[("stored", 8), ("stored", 12)])
    assert order(found, after=lambda one, look: one.test == "stored" and look < 16) == [
        (["stored"], 8),
        (["stored"], 12),
        (["cheap"], 8),
        (["stored"], 16),
    ]


def test_without_a_limit_all_claims_of_a_look_are_taken_together():
    asks = {"dear": [("sst2", FT, LC, LIN)], "cheap": [("mr",)]}
    found = agenda([planned("dear"), planned("cheap")], asks, hurried=False)
    assert order(found)[:2] == [(["cheap", "dear"], 8), (["cheap", "dear"], 12)]


def test_without_another_look_it_is_over():
    asks = {"one": [("sst2", FT)]}
    assert order(agenda([planned("one")], asks)) == [(["one"], look) for look in LOOKS]
    assert agenda([planned("one", 24)], asks).take() is None
    assert agenda([], {}).take() is None
